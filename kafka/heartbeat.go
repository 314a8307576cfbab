package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// Heartbeat, versions 0 to 4, as Kafka 4. REBALANCE_IN_PROGRESS tells the member to join again.
func init() {
	register(0, 4, func(ctx context.Context, s *Server, from *peer, req *kmsg.HeartbeatRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrHeartbeatResponse()
		if refused := from.may(access.Read, access.Group, req.Group); refused != nil {
			resp.ErrorCode = refused.code()
			return resp, nil
		}
		resp.ErrorCode = codeOf(s.opts.Groups.Heartbeat(ctx, req.Group, req.MemberID, orEmpty(req.InstanceID),
			req.Generation))
		return resp, nil
	}, rules{needs: []access.Need{access.Read.On(access.Group)}, quota: access.Requests})
}
