package coordinatortest

import (
	"context"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// WaitFor waits until the high watermark of a partition is greater than offset in a view. It
// returns ErrUnknownPartition if the partition's topic is deleted meanwhile.
func WaitFor(ctx context.Context, v *coordinator.View, at segments.Partition, offset int64) error {
	w := v.Watch(at)
	defer w.Close()
	for {
		switch info, _ := v.Partition(at); {
		case info.HighWatermark > offset:
			return nil
		case v.Deleted(at.Topic):
			return coordinator.ErrUnknownPartition
		}
		select {
		case <-w.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
