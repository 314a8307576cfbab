package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator/security"
)

// DescribeUserScramCredentials, version 0, as Kafka 4: the users that have credentials, with
// mechanisms and iterations. A user that is asked for and has none is answered with
// RESOURCE_NOT_FOUND; one that is asked for twice, with DUPLICATE_RESOURCE.
func init() {
	register(0, 0, describeUserScramCredentials, rules{
		needs: []access.Need{access.Describe.On(access.Cluster)}, quota: access.Requests})
}

func describeUserScramCredentials(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeUserSCRAMCredentialsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if refused := from.mayWithCluster(access.Describe); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	users := s.security.Users()
	names, times := make([]string, 0, len(req.Users)), map[string]int{}
	for _, u := range req.Users {
		if times[u.Name]++; times[u.Name] == 1 {
			names = append(names, u.Name)
		}
	}
	if len(names) == 0 {
		names = users.Names()
	}
	for _, name := range names {
		result := kmsg.DescribeUserSCRAMCredentialsResponseResult{User: name}
		var refused *refusal
		if n := times[name]; n > 1 {
			refused = refuse(kerr.DuplicateResource, "the request names user %q %d times", name, n)
		} else if result.CredentialInfos = credentialsOf(users, name); result.CredentialInfos == nil {
			refused = refuse(kerr.ResourceNotFound, "user %q has no SCRAM credentials", name)
		}
		result.ErrorCode, result.ErrorMessage = refused.code(), refused.text()
		resp.Results = append(resp.Results, result)
	}
	return resp, nil
}

func credentialsOf(users security.Users, name string) (
	infos []kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo) {
	for _, m := range []access.ScramMechanism{access.ScramSHA256, access.ScramSHA512} {
		if keys, has := users.ScramKeys(name, m); has {
			infos = append(infos, kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo{
				Mechanism: int8(m), Iterations: int32(keys.Iterations)})
		}
	}
	return infos
}
