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
	// Alive says whether a node with a life is known to be there.
	Alive(life string) bool
	// Nodes returns the live nodes, as last heard.
	Nodes() []coordinator.NodeInfo
	// Slowness knows when a put is slow.
	Slowness() *segments.Slowness
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

	// Carry waits for the right to the next object of the journal; nil if it carries nothing.
	Carry(ctx context.Context, sealed time.Time) (carriage, error)
	// Carries says whether the journal has a segment that it was to carry; with seal, for good.
	Carries(ctx context.Context, id segments.ID, seal bool) (bool, error)
	// Abandon gives up the life, and what was decided and is not in the journal.
	Abandon(why error)
}

// carriage is what ingest needs of coordinator.Carriage.
type carriage interface {
	ID() segments.ID
	Settle(ctx context.Context, entry coordinator.Entry, segment []byte) error
	Release()
}

// view is what ingest needs of coordinator.View.
type view interface {
	// Partition also says whether the partition is known. Of one that is not, Deleted says whether it
	// is gone, or may still come.
	Partition(p segments.Partition) (coordinator.PartitionInfo, bool)
	Deleted(topic segments.TopicID) bool
	// HasSpan says whether the partition has a span of a segment from an offset on.
	HasSpan(p segments.Partition, from int64, id segments.ID) bool
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
	return living{l}, nil
}

func (m member) Alive(life string) bool {
	for _, n := range m.Nodes() {
		if n.Life == life {
			return true
		}
	}
	return false
}

// living is a coordinator.Life as this package sees it.
type living struct{ *coordinator.Life }

func (l living) Carry(ctx context.Context, sealed time.Time) (carriage, error) {
	c, err := l.Life.Carry(ctx, sealed)
	if c == nil {
		return nil, err
	}
	return c, err
}

// watched is a coordinator.View as this package sees it.
type watched struct{ *coordinator.View }

func (v watched) Watch(ps ...segments.Partition) (<-chan struct{}, func()) {
	w := v.View.Watch(ps...)
	return w.C, w.Close
}
