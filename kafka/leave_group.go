package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// LeaveGroup, versions 0 to 5, as Kafka 4. From version 3 on it takes several members out, static
// ones by their instance ids alone, and answers for each.
func init() {
	register(0, 5, leaveGroup, rules{needs: []access.Need{access.Read.On(access.Group)}, quota: access.Requests})
}

func leaveGroup(ctx context.Context, s *Server, from *peer, req *kmsg.LeaveGroupRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrLeaveGroupResponse()
	if refused := from.may(access.Read, access.Group, req.Group); refused != nil {
		resp.ErrorCode = refused.code()
		return resp, nil
	}
	if req.Version < 3 {
		resp.ErrorCode = codeOf(s.opts.Groups.Leave(ctx, req.Group, req.MemberID, ""))
		return resp, nil
	}
	for _, m := range req.Members {
		err := s.opts.Groups.Leave(ctx, req.Group, m.MemberID, orEmpty(m.InstanceID))
		if err == kerr.NotCoordinator || err == kerr.CoordinatorNotAvailable || err == kerr.InvalidGroupID {
			resp.ErrorCode, resp.Members = err.Code, nil // it concerns all of them
			return resp, nil
		}
		resp.Members = append(resp.Members, kmsg.LeaveGroupResponseMember{MemberID: m.MemberID, InstanceID: m.InstanceID,
			ErrorCode: codeOf(err)})
	}
	return resp, nil
}
