package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// ListPartitionReassignments, version 0, as Kafka 4: none is ever under way.
func init() {
	register(0, 0, listPartitionReassignments, rules{
		needs: []access.Need{access.Describe.On(access.Cluster)}, quota: access.Requests})
}

func listPartitionReassignments(_ context.Context, _ *Server, from *peer,
	req *kmsg.ListPartitionReassignmentsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	if refused := from.mayWithCluster(access.Describe); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
	}
	return resp, nil
}
