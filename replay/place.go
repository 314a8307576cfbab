package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
)

// Place is where in a partition to begin, inclusive, or to end, exclusive. The zero value is
// Earliest.
type Place = index.Place

// Places that every partition has: its first record that is still there, and behind its last one.
var (
	Earliest = index.Earliest
	Latest   = index.Latest
)

// Offset is an offset. Where the partition begins later or ends before, it means that.
func Offset(offset int64) Place { return index.AtOffset(offset) }

// At is the first record with this timestamp or a later one.
func At(t time.Time) Place { return index.AtTime(t) }

// ParsePlace reads earliest, latest, an offset, or an RFC 3339 time.
func ParsePlace(text string) (Place, error) { return index.ParsePlace(text) }

// resolve finds the ranges of the partitions that were asked for.
func (r *Replay) resolve(ctx context.Context) ([]Range, error) {
	partitions := slices.Clone(r.opts.Partitions)
	if partitions == nil {
		for i := range r.topic.Partitions {
			partitions = append(partitions, i)
		}
	}
	slices.Sort(partitions)
	partitions = slices.Compact(partitions)
	search, err := index.New(index.Options{Store: r.store, View: lookUp{r}, Logger: slog.New(slog.DiscardHandler),
		TailBytes: -1, CacheBytes: 1 << 20, FooterBytes: 4 << 20, FetchBytes: 4 << 20, ReadAheadBytes: -1, CatchUp: r.load})
	if err != nil {
		return nil, err
	}
	defer search.Close()
	ranges := make([]Range, 0, len(partitions))
	for _, i := range partitions {
		part := segments.Partition{Topic: r.topic.ID, Index: i}
		info, ok := r.view.Partition(part)
		if !ok {
			return nil, fmt.Errorf("topic %q has partitions 0 to %d, not %d", r.topic.Name, r.topic.Partitions-1, i)
		}
		info.HighWatermark = r.end(info) // "latest" is where it can be read to
		from, err := resolve(ctx, search, part, r.opts.From, info)
		to := info.HighWatermark
		if err == nil {
			to, err = resolve(ctx, search, part, r.opts.To, info)
		}
		if err != nil {
			return nil, err
		}
		if r.opts.Follow {
			to = noEnd
		}
		ranges = append(ranges, Range{i, from, max(from, to)})
	}
	return ranges, nil
}

// resolve finds the offset of a place, within what the partition has.
func resolve(ctx context.Context, search *index.Index, part segments.Partition, p Place,
	info coordinator.PartitionInfo) (int64, error) {
	offset, err := search.Find(ctx, part, p, info)
	if errors.Is(err, index.ErrCorrupt) {
		err = fmt.Errorf("looking for %s: %w (give an offset instead)", p, err)
	}
	return min(max(offset, info.LogStart), info.HighWatermark), err
}

// lookUp is the newest view that a Replay has.
type lookUp struct{ r *Replay }

func (l lookUp) Partition(at segments.Partition) (coordinator.PartitionInfo, bool) {
	return l.r.view.Partition(at)
}

func (l lookUp) Spans(at segments.Partition, offset int64, n int) []coordinator.Span {
	return l.r.view.Spans(at, offset, n)
}

func (l lookUp) SpanByTime(at segments.Partition, timestamp int64) (coordinator.Span, bool) {
	return l.r.view.SpanByTime(at, timestamp)
}

func (l lookUp) Aborted(at segments.Partition, from, to int64) []coordinator.AbortedTransaction {
	return l.r.view.Aborted(at, from, to)
}

func (l lookUp) SpanOfMaxTimestamp(at segments.Partition) (coordinator.Span, bool) {
	return l.r.view.SpanOfMaxTimestamp(at)
}
