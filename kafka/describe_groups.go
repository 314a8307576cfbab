package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
)

// DescribeGroups, versions 0 to 6, as Kafka 4. A group that does not exist, or is of the new
// protocol, is Dead, from version 6 on with GROUP_ID_NOT_FOUND. One that is named twice is answered
// once.
func init() {
	register(0, 6, describeGroups, rules{
		needs: []access.Need{access.Describe.On(access.Group)}, quota: access.Requests})
}

func describeGroups(ctx context.Context, s *Server, from *peer,
	req *kmsg.DescribeGroupsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	named := slices.Collect(distinct(req.Groups))
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(named))
	inParallel(len(named), func(i int) { // who asks first for a group of a shard waits for its lease
		group := named[i]
		if refused := from.may(access.Describe, access.Group, group); refused != nil {
			a := kmsg.NewDescribeGroupsResponseGroup()
			a.Group, a.ErrorCode, a.ErrorMessage = group, refused.code(), refused.text()
			resp.Groups[i] = a
			return
		}
		d, err := s.opts.Groups.Describe(ctx, group)
		if err == nil && d.Type != groups.Classic {
			d, err = groups.Description{}, kerr.GroupIDNotFound
		}
		a := kmsg.NewDescribeGroupsResponseGroup()
		a.Group, a.ErrorCode, a.ErrorMessage = group, codeOf(err), textOf(err)
		a.State, a.ProtocolType, a.Protocol = d.State.String(), d.ProtocolType, d.Protocol
		if err != nil {
			a.State = groups.Dead.String()
		}
		if err == kerr.GroupIDNotFound && req.Version < 6 {
			a.ErrorCode = 0
		}
		for i := range d.Members {
			a.Members = append(a.Members, describedMember(&d.Members[i]))
		}
		if req.IncludeAuthorizedOperations {
			a.AuthorizedOperations = from.asks.Operations(access.Group, group)
		}
		resp.Groups[i] = a
	})
	return resp, nil
}
