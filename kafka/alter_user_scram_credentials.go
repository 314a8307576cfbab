package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
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
	denied := from.mayWithCluster(access.Alter)
	refused := denied
	if refused == nil {
		refused = s.refusalOf(s.catchUp(ctx)) // or users that another node has answered for would be missing
	}
	a := s.newCredentialChange(req, refused)
	for _, user := range a.users {
		if refused := a.refused[user]; refused != nil && denied == nil {
			from.changed("AlterUserScramCredentials", user, refused)
		}
	}
	changes := a.changes()
	for i, failed := range s.refusalsOf(s.security.AlterUsers(ctx, from.asks, changes)) {
		a.refused[changes[i].User] = failed
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
	all     *refusal // nil, or why all is refused
	users   []string // each once
	set     map[string]security.UserChange
	refused map[string]*refusal
}

// newCredentialChange checks all that is asked, unless all is refused already.
func (s *Server) newCredentialChange(req *kmsg.AlterUserSCRAMCredentialsRequest, all *refusal) *credentialChange {
	a := &credentialChange{all: all, set: map[string]security.UserChange{}, refused: map[string]*refusal{}}
	for i := range req.Deletions {
		d := &req.Deletions[i]
		a.add(s, d.Name, d.Mechanism, func(m access.ScramMechanism) (security.UserChange, error) {
			return s.security.DeleteKeys(d.Name, m)
		})
	}
	for i := range req.Upsertions {
		u := &req.Upsertions[i]
		a.add(s, u.Name, u.Mechanism, func(m access.ScramMechanism) (security.UserChange, error) {
			// Of another length than the mechanism's it is no password's, and Kafka takes it all the same.
			if len(u.SaltedPassword) == 0 {
				return security.UserChange{}, refuse(kerr.UnacceptableCredential, "the salted password is empty")
			}
			return s.security.SetKeys(u.Name, m, access.ScramKeysOf(m, u.SaltedPassword, u.Salt, int(u.Iterations)))
		})
	}
	return a
}

// add takes in what is asked for one user.
func (a *credentialChange) add(s *Server, user string, mechanism int8,
	change func(access.ScramMechanism) (security.UserChange, error)) {
	_, before := a.set[user]
	if before = before || a.refused[user] != nil; !before {
		a.users = append(a.users, user)
	}
	switch m := access.ScramMechanism(mechanism); {
	case a.all != nil:
		a.refused[user] = a.all
	case before:
		a.refused[user] = refuse(kerr.DuplicateResource, "the request alters user %q twice", user)
		delete(a.set, user)
	case m != access.ScramSHA256 && m != access.ScramSHA512:
		a.refused[user] = refuse(kerr.UnsupportedSaslMechanism, "there is no SCRAM mechanism %d", mechanism)
	default:
		set, err := change(m)
		if a.refused[user] = s.refusalOf(err); err == nil {
			a.set[user] = set
		}
	}
}

func (a *credentialChange) changes() (changes []security.UserChange) {
	for _, user := range a.users {
		if set, has := a.set[user]; has {
			changes = append(changes, set)
		}
	}
	return changes
}
