package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListGroups, versions 0 to 5, as Kafka 4: the groups that this node owns, which is why clients ask every node. Filters by state and type, from versions 4
// and 5 on, do not look at case. The types are "classic" and "consumer".
func init() { register(0, 5, listGroups) }

func listGroups(_ context.Context, s *Server, _ *peer, req *kmsg.ListGroupsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrListGroupsResponse()
	for _, g := range s.opts.Groups.List() {
		if passes(req.StatesFilter, g.State.String()) && passes(req.TypesFilter, g.Type.String()) {
			resp.Groups = append(resp.Groups, kmsg.ListGroupsResponseGroup{
				Group: g.Group, ProtocolType: g.ProtocolType, GroupState: g.State.String(), GroupType: g.Type.String()})
		}
	}
	slices.SortFunc(resp.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	return resp, nil
}

// passes says whether a filter lets a value through; one without values lets everything through.
func passes(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
}
