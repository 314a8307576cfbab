package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// DescribeAcls, CreateAcls and DeleteAcls, versions 1 to 3, as Kafka 4 without an authorizer:
// SECURITY_DISABLED, by which MirrorMaker 2 and other tools know that there are no ACLs to copy.
func init() {
	register(1, 3, describeACLs, rules{
		needs: []access.Need{access.Describe.On(access.Cluster)}, quota: access.Requests})
	register(1, 3, createACLs, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
	register(1, 3, deleteACLs, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

// noACLs says why there are none for this client.
func noACLs(from *peer, operation access.Operation) *refusal {
	if refused := from.mayWithCluster(operation); refused != nil {
		return refused
	}
	return refuse(kerr.SecurityDisabled, "there is no authorizer, and so there are no ACLs")
}

func describeACLs(_ context.Context, _ *Server, from *peer, req *kmsg.DescribeACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	refused := noACLs(from, access.Describe)
	resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
	return resp, nil
}

func createACLs(_ context.Context, _ *Server, from *peer, req *kmsg.CreateACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	refused := noACLs(from, access.Alter)
	for range req.Creations {
		resp.Results = append(resp.Results, kmsg.CreateACLsResponseResult{
			ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	return resp, nil
}

func deleteACLs(_ context.Context, _ *Server, from *peer, req *kmsg.DeleteACLsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	refused := noACLs(from, access.Alter)
	for range req.Filters {
		resp.Results = append(resp.Results, kmsg.DeleteACLsResponseResult{
			ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	return resp, nil
}
