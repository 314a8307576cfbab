package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// DescribeUserScramCredentials, version 0, as Kafka 4: nobody has credentials. One who is asked for
// is RESOURCE_NOT_FOUND, or DUPLICATE_RESOURCE if asked for twice.
func init() {
	register(0, 0, describeUserScramCredentials, rules{
		needs: []access.Need{access.Describe.On(access.Cluster)}, quota: access.Requests})
}

func describeUserScramCredentials(_ context.Context, _ *Server, from *peer,
	req *kmsg.DescribeUserSCRAMCredentialsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if refused := from.mayWithCluster(access.Describe); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	times := map[string]int{}
	for _, u := range req.Users {
		times[u.Name]++
	}
	for _, u := range req.Users {
		refused := refuse(kerr.ResourceNotFound, "user %q has no SCRAM credentials", u.Name)
		if n := times[u.Name]; n == 0 {
			continue // answered
		} else if n > 1 {
			refused = refuse(kerr.DuplicateResource, "the request names user %q %d times", u.Name, n)
		}
		times[u.Name] = 0
		resp.Results = append(resp.Results, kmsg.DescribeUserSCRAMCredentialsResponseResult{
			User: u.Name, ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	return resp, nil
}
