package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// ListGroups, versions 0 to 5, as Kafka 4: the groups that this node owns, which is why clients ask
// every node. Filters by state and type, from versions 4 and 5 on, do not look at case. The types
// are "classic" and "consumer". A client that may not describe the cluster gets the groups that it
// may describe.
func init() {
	register(0, 5, listGroups, rules{
		needs: []access.Need{access.Describe.On(access.Cluster), access.Describe.On(access.Group)}, quota: access.Requests})
}

func listGroups(_ context.Context, s *Server, from *peer, req *kmsg.ListGroupsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrListGroupsResponse()
	all := from.mayWithCluster(access.Describe) == nil
	for _, g := range s.opts.Groups.List() {
		if !all && !from.asks.May(access.Describe, access.Group, g.Group) {
			continue
		}
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
