package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// UnregisterBroker, version 0. A node that stops is off the list within seconds, so there is
// nothing to take away: one that is not listed is BROKER_ID_NOT_REGISTERED, as in Kafka, and one
// that is alive INVALID_REQUEST.
func init() {
	register(0, 0, unregisterBroker, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

func unregisterBroker(_ context.Context, s *Server, from *peer,
	req *kmsg.UnregisterBrokerRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	if refused := from.mayWithCluster(access.Alter); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	refused := refuse(kerr.BrokerIDNotRegistered, "there is no broker %d", req.BrokerID)
	if slices.ContainsFunc(s.opts.Node.Nodes(), func(n coordinator.NodeInfo) bool { return n.ID == req.BrokerID }) {
		refused = refuse(kerr.InvalidRequest, "broker %d is alive; stop it, and it is gone within seconds", req.BrokerID)
	}
	resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
	return resp, nil
}
