package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// DeleteGroups, versions 0 to 3, as Kafka 4: deletes groups that have no members, with all that
// they have committed.
func init() {
	register(0, 3, func(ctx context.Context, s *Server, from *peer, req *kmsg.DeleteGroupsRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrDeleteGroupsResponse()
		named := slices.Collect(distinct(req.Groups))
		resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(named))
		inParallel(len(named), func(i int) {
			if refused := from.may(access.Delete, access.Group, named[i]); refused != nil {
				resp.Groups[i] = kmsg.DeleteGroupsResponseGroup{
					Group: named[i], ErrorCode: refused.code(), ErrorMessage: refused.text()}
				return
			}
			err := s.opts.Groups.Delete(ctx, named[i])
			from.changedGroup("DeleteGroups", named[i], err)
			resp.Groups[i] = kmsg.DeleteGroupsResponseGroup{Group: named[i], ErrorCode: codeOf(err), ErrorMessage: textOf(err)}
		})
		return resp, nil
	}, rules{needs: []access.Need{access.Delete.On(access.Group)}, quota: access.Requests})
}
