package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// DescribeClientQuotas, versions 0 and 1, as Kafka 4: there are none, and they cannot be set. The
// limits of a node are its flags.
func init() {
	register(0, 1, describeClientQuotas, rules{
		needs: []access.Need{access.DescribeConfigs.On(access.Cluster)}, quota: access.Requests})
}

func describeClientQuotas(_ context.Context, _ *Server, from *peer,
	req *kmsg.DescribeClientQuotasRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	if refused := from.mayWithCluster(access.DescribeConfigs); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // null is for errors
	return resp, nil
}
