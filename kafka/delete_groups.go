package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteGroups, versions 0 to 3, as Kafka 4: deletes groups that have no members, with all that they have committed.
func init() {
	register(0, 3, func(ctx context.Context, s *Server, _ *peer, req *kmsg.DeleteGroupsRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrDeleteGroupsResponse()
		for group := range distinct(req.Groups) {
			err := s.opts.Groups.Delete(ctx, group)
			resp.Groups = append(resp.Groups, kmsg.DeleteGroupsResponseGroup{Group: group, ErrorCode: codeOf(err), ErrorMessage: textOf(err)})
		}
		return resp, nil
	})
}
