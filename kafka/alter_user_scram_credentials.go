package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// AlterUserScramCredentials, version 0, as Kafka 4. A user is altered once in a request. Clients
// send a salted password, of which Firn keeps what proves that somebody knows it. An answer comes
// when the change holds on this node; connections of a user whose keys change are closed within
// seconds.
func init() {
	register(0, 0, alterUserScramCredentials, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

func alterUserScramCredentials(ctx context.Context, s *Server, from *peer,
	req *kmsg.AlterUserSCRAMCredentialsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	a := newCredentialChange(security.Users{View: s.opts.Node.View()}, req)
	if refused := from.mayWithCluster(access.Alter); refused != nil {
		for _, user := range a.users {
			a.refused[user] = refused
		}
	} else if changes := a.changes(); len(changes) > 0 {
		failed := s.refusalOf(s.set(ctx, changes))
		for _, user := range a.users {
			if a.refused[user] == nil {
				a.refused[user] = failed
			}
			from.changed("AlterUserScramCredentials", user, a.refused[user])
		}
	}
	for _, user := range a.users {
		refused := a.refused[user]
		resp.Results = append(resp.Results, kmsg.AlterUserSCRAMCredentialsResponseResult{
			User: user, ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	return resp, nil
}

// credentialChange is what one request asks for, by user.
type credentialChange struct {
	known   security.Users
	users   []string // each once
	set     map[string]coordinator.Setting
	refused map[string]*refusal
}

func newCredentialChange(known security.Users, req *kmsg.AlterUserSCRAMCredentialsRequest) *credentialChange {
	a := &credentialChange{known: known, set: map[string]coordinator.Setting{}, refused: map[string]*refusal{}}
	for i := range req.Deletions {
		d := &req.Deletions[i]
		a.add(d.Name, d.Mechanism, func(m access.ScramMechanism) (coordinator.Setting, *refusal) {
			if _, has := known.ScramKeys(d.Name, m); !has {
				return coordinator.Setting{}, refuse(kerr.ResourceNotFound, "user %q has no credentials for %s", d.Name, m)
			}
			return known.DeleteUser(d.Name, m), nil
		})
	}
	for i := range req.Upsertions {
		u := &req.Upsertions[i]
		a.add(u.Name, u.Mechanism, func(m access.ScramMechanism) (coordinator.Setting, *refusal) {
			if len(u.SaltedPassword) != m.KeyBytes() {
				return coordinator.Setting{}, refuse(kerr.UnacceptableCredential,
					"the salted password has %d bytes; that of %s has %d", len(u.SaltedPassword), m, m.KeyBytes())
			}
			keys := access.ScramKeysOf(m, u.SaltedPassword, u.Salt, int(u.Iterations))
			set, err := known.SetUser(u.Name, m, keys)
			if err != nil {
				return set, refuse(kerr.UnacceptableCredential, "%v", err)
			}
			return set, nil
		})
	}
	return a
}

// add takes in what is asked for one user.
func (a *credentialChange) add(user string, mechanism int8,
	change func(access.ScramMechanism) (coordinator.Setting, *refusal)) {
	if _, before := a.set[user]; before || a.refused[user] != nil {
		a.refused[user] = refuse(kerr.DuplicateResource, "the request alters user %q twice", user)
		delete(a.set, user)
		return
	}
	a.users = append(a.users, user)
	m := access.ScramMechanism(mechanism)
	if m != access.ScramSHA256 && m != access.ScramSHA512 {
		a.refused[user] = refuse(kerr.UnsupportedSaslMechanism, "there is no SCRAM mechanism %d", mechanism)
		return
	}
	set, refused := change(m)
	if a.refused[user] = refused; refused == nil {
		a.set[user] = set
	}
}

func (a *credentialChange) changes() (changes []coordinator.Setting) {
	for _, user := range a.users {
		if set, has := a.set[user]; has {
			changes = append(changes, set)
		}
	}
	return changes
}
