package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// End has an ending decided, with a marker in each partition of open: all those in which its
// transaction is open. It returns nil if it is decided, in the journal, and its markers are below
// the high watermarks; or was decided before. Other errors are the coordinator's, or say as those
// of a batch do that nothing was written, or that it is in doubt.
func (w *Writer) End(ctx context.Context, e coordinator.Ending, open []segments.Partition) error {
	if len(open) == 0 {
		return w.endNowhere(ctx, e)
	}
	now := time.Now().UnixMilli()
	markers := make([]Batch, len(open))
	for i, p := range open {
		var err error
		if markers[i], err = markerOf(&e, p, now); err != nil {
			return err
		}
	}
	pending, err := w.Append(ctx, markers)
	if err != nil {
		return err
	}
	results, err := pending.Wait(ctx)
	for i := range results {
		if err == nil && !isGone(results[i].Err) {
			err = results[i].Err
		}
	}
	return err
}

// endNowhere has an ending decided that has no markers, which needs no segment.
func (w *Writer) endNowhere(ctx context.Context, e coordinator.Ending) error {
	l, err := w.node.Life(ctx)
	if err != nil {
		return err
	}
	if l.Incarnation() != e.Incarnation {
		return fmt.Errorf("%w: it was built in incarnation %d", coordinator.ErrBuildAnew, e.Incarnation)
	}
	answer, err := l.Commit(
		ctx,
		coordinator.CommitRequest{Segment: segments.NewID(w.node.Now()), Endings: []coordinator.Ending{e}},
	)
	if err != nil {
		return err
	}
	if answer.Entry.Seq != 0 {
		if err := l.Settle(ctx, answer.Entry); err != nil {
			return err
		}
	}
	return answer.Endings[0]
}

// isGone says of a marker's answer that the partition needs none: its topic was deleted, or another
// commit has brought the marker.
func isGone(err error) bool {
	return errors.Is(err, coordinator.ErrUnknownPartition) || errors.Is(err, coordinator.ErrNotOpenThere)
}
