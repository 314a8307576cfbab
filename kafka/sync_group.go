package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/groups"
)

// SyncGroup, versions 0 to 5, as Kafka 4. It is answered when the leader has brought the assignment.
func init() { register(0, 5, syncGroup) }

func syncGroup(ctx context.Context, s *Server, _ *peer, req *kmsg.SyncGroupRequest) (kmsg.Response, error) {
	ctx, cancel := s.untilDraining(ctx)
	defer cancel()
	r := groups.SyncRequest{
		MemberID: req.MemberID, InstanceID: orEmpty(req.InstanceID), Generation: req.Generation,
		ProtocolType: req.ProtocolType, Protocol: req.Protocol, Assignments: map[string][]byte{},
	}
	for _, a := range req.GroupAssignment {
		r.Assignments[a.MemberID] = a.MemberAssignment
	}
	a := s.opts.Groups.Sync(ctx, req.Group, r)
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode, resp.ProtocolType, resp.Protocol = codeOf(a.Err), orNull(a.ProtocolType), orNull(a.Protocol)
	resp.MemberAssignment = a.Assignment
	return resp, nil
}
