package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/groups"
	"firn.dev/segments"
)

// ShareOwner is who decides about a share group: the groups.Manager of the node that owns it, or
// who asks that one. Its methods are the manager's, and answer as that does. A group that has no
// owner that can be asked is NOT_COORDINATOR or COORDINATOR_NOT_AVAILABLE.
type ShareOwner interface {
	// Shares says where the group is with partitions. The channel is closed when there may be
	// something new; nil: nobody tells.
	Shares(ctx context.Context, group string, partitions []segments.Partition) ([]groups.ShareState, []*kerr.Error,
		<-chan struct{}, *kerr.Error)
	BeginShares(ctx context.Context, group string, begin []groups.ShareBeginning) *kerr.Error
	AcquireShares(ctx context.Context, group, member string, read []groups.ShareAcquire,
		bounds groups.AcquireBounds) ([][]groups.AcquiredRange, *kerr.Error)
	AcknowledgeShares(ctx context.Context, group, member string, said []groups.ShareAcks) ([]*kerr.Error, *kerr.Error)
	ReleaseShares(ctx context.Context, group, member string, of []segments.Partition) *kerr.Error
}

var _ ShareOwner = (*groups.Manager)(nil)

// shareOwner is who decides about a share group, for a client.
func (s *Server) shareOwner(group string, client access.Client) ShareOwner {
	if s.opts.RemoteShares != nil {
		if owner := s.opts.RemoteShares(group, client); owner != nil {
			return owner
		}
	}
	return s.opts.Groups
}
