package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
)

// JoinGroup, versions 0 to 9, as Kafka 4.
//
//   - It is answered when the group's next generation begins: when all members have joined, or the
//     longest of their rebalance timeouts has passed. The first generation of an empty group waits
//     for group.initial.rebalance.delay.ms, which is 200 ms here and not 3 s.
//   - From version 4 on a new member is given an id first (MEMBER_ID_REQUIRED) and joins with it;
//     from version 5 on members can be static.
//   - A member that would be too much for the group or the node is refused with
//     GROUP_MAX_SIZE_REACHED.
func init() {
	register(0, 9, joinGroup, rules{
		needs: []access.Need{access.Read.On(access.Group)}, parks: true, answersLarge: true, quota: access.Requests})
}

func joinGroup(ctx context.Context, s *Server, from *peer, req *kmsg.JoinGroupRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrJoinGroupResponse()
	if refused := from.may(access.Read, access.Group, req.Group); refused != nil {
		resp.ErrorCode, resp.Generation, resp.Protocol = refused.code(), -1, new("")
		return resp, nil
	}
	if from.large {
		resp.ErrorCode, resp.Generation, resp.Protocol = kerr.GroupMaxSizeReached.Code, -1, new("")
		resp.MemberID = req.MemberID
		return resp, nil
	}
	ctx, cancel := s.untilDraining(ctx)
	defer cancel()
	r := groups.JoinRequest{
		MemberID: req.MemberID, InstanceID: orEmpty(req.InstanceID), ClientID: from.ClientID, ClientHost: from.clientHost(),
		SessionTimeout:   time.Duration(req.SessionTimeoutMillis) * time.Millisecond,
		RebalanceTimeout: time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond,
		ProtocolType:     req.ProtocolType, AsksForID: req.Version >= 4, SkipsAssigned: req.Version >= 9,
	}
	if req.Version == 0 || r.RebalanceTimeout < 0 {
		r.RebalanceTimeout = r.SessionTimeout
	}
	for _, p := range req.Protocols {
		r.Protocols = append(r.Protocols, groups.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	a := s.opts.Groups.Join(ctx, req.Group, r)
	resp.ErrorCode, resp.MemberID, resp.Generation = codeOf(a.Err), a.MemberID, a.Generation
	resp.LeaderID, resp.SkipAssignment = a.Leader, a.SkipAssignment
	resp.ProtocolType, resp.Protocol = orNull(a.ProtocolType), orNull(a.Protocol)
	if resp.Protocol == nil && req.Version < 7 {
		resp.Protocol = new("") // null only from version 7 on
	}
	for _, m := range a.Members {
		resp.Members = append(resp.Members, kmsg.JoinGroupResponseMember{MemberID: m.MemberID,
			InstanceID: orNull(m.InstanceID), ProtocolMetadata: m.Metadata})
	}
	return resp, nil
}
