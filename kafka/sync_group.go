package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
)

// SyncGroup, versions 0 to 5, as Kafka 4. It is answered when the leader has brought the
// assignment. Assignments beyond MaxAdminRequestBytes are GROUP_MAX_SIZE_REACHED.
func init() {
	register(0, 5, syncGroup, rules{
		needs: []access.Need{access.Read.On(access.Group)}, parks: true, answersLarge: true, quota: access.Requests})
}

func syncGroup(ctx context.Context, s *Server, from *peer, req *kmsg.SyncGroupRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrSyncGroupResponse()
	if refused := from.may(access.Read, access.Group, req.Group); refused != nil {
		resp.ErrorCode = refused.code()
		return resp, nil
	}
	if from.large {
		resp.ErrorCode = kerr.GroupMaxSizeReached.Code
		return resp, nil
	}
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
	resp.ErrorCode, resp.ProtocolType, resp.Protocol = codeOf(a.Err), orNull(a.ProtocolType), orNull(a.Protocol)
	resp.MemberAssignment = a.Assignment
	return resp, nil
}
