package ingest

import (
	"context"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// node is what ingest needs of coordinator.Node.
type node interface {
	// Life returns the current life, and waits for it while it begins; ErrFenced when there will be
	// none any more.
	Life(ctx context.Context) (life, error)
	// Now is the time by this machine's clock.
	Now() time.Time
}

// life is what ingest needs of coordinator.Life. Ended must be closed before anything of a later
// incarnation shows in the view: only so does a high watermark seen while Ended is open speak of
// the offsets that this life's commits were given.
type life interface {
	Incarnation() coordinator.Incarnation
	Commit(ctx context.Context, req coordinator.CommitRequest) (coordinator.CommitAnswer, error)
	Settle(ctx context.Context, entries ...coordinator.Entry) error
	// Current fails if the coordinator's answers may be those of an incarnation that is over.
	Current(ctx context.Context) error
	Ended() <-chan struct{}
}

// view is what ingest needs of coordinator.View.
type view interface {
	// Partition also says whether the partition is known. Of one that is not, Deleted says whether it
	// is gone, or may still come.
	Partition(p segments.Partition) (coordinator.PartitionInfo, bool)
	Deleted(topic segments.TopicID) bool
	// Watch signals moves of the partitions' high watermarks from the moment of the call on, until
	// stop is called.
	Watch(ps ...segments.Partition) (moved <-chan struct{}, stop func())
	// Stalled waits for decided facts that have awaited their confirmation for longer than age, and
	// costs nothing while there is none.
	Stalled(ctx context.Context, age time.Duration) ([]coordinator.Entry, error)
}

// member is a coordinator.Node as this package sees it.
type member struct{ *coordinator.Node }

func (m member) Life(ctx context.Context) (life, error) {
	l, err := m.Node.Life(ctx)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// watched is a coordinator.View as this package sees it.
type watched struct{ *coordinator.View }

func (v watched) Watch(ps ...segments.Partition) (<-chan struct{}, func()) {
	w := v.View.Watch(ps...)
	return w.C, w.Close
}
