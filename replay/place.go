package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
)

// Place is where in a partition to begin, inclusive, or to end, exclusive. The zero value is
// Earliest.
type Place struct {
	kind  placeKind
	value int64
}

type placeKind int8

const (
	atEarliest placeKind = iota
	atLatest
	atOffset
	atTime
)

// Places that every partition has: its first record that is still there, and behind its last one.
var (
	Earliest = Place{}
	Latest   = Place{kind: atLatest}
)

// Offset is an offset. Where the partition begins later or ends before, it means that.
func Offset(offset int64) Place { return Place{atOffset, offset} }

// At is the first record with this timestamp or a later one.
func At(t time.Time) Place { return Place{atTime, t.UnixMilli()} }

// ParsePlace reads earliest, latest, an offset, or an RFC 3339 time.
func ParsePlace(text string) (Place, error) {
	switch text {
	case "earliest":
		return Earliest, nil
	case "latest":
		return Latest, nil
	}
	if offset, err := strconv.ParseInt(text, 10, 64); err == nil && offset >= 0 {
		return Offset(offset), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return Place{}, fmt.Errorf("%q is none of earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z", text)
	}
	return At(t), nil
}

func (p Place) String() string {
	switch p.kind {
	case atOffset:
		return strconv.FormatInt(p.value, 10)
	case atTime:
		return time.UnixMilli(p.value).UTC().Format(time.RFC3339Nano)
	case atLatest:
		return "latest"
	}
	return "earliest"
}

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
		end := info.HighWatermark
		from, err := resolve(ctx, search, part, r.opts.From, info.LogStart, end)
		to := end
		if err == nil {
			to, err = resolve(ctx, search, part, r.opts.To, info.LogStart, end)
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

// resolve finds the offset of a place.
func resolve(ctx context.Context, search *index.Index, part segments.Partition, p Place, start, end int64) (int64, error) {
	switch p.kind {
	case atLatest:
		return end, nil
	case atOffset:
		return min(max(p.value, start), end), nil
	case atTime:
		found, some, err := search.ByTime(ctx, part, p.value)
		if errors.Is(err, index.ErrCorrupt) {
			err = fmt.Errorf("looking for %s: %w (give an offset instead)", p, err)
		}
		if err != nil || !some {
			return end, err
		}
		return min(found.Offset, end), nil
	}
	return start, nil
}

// lookUp is the newest view that a Replay has.
type lookUp struct{ r *Replay }

func (l lookUp) Partition(p segments.Partition) (coordinator.PartitionInfo, bool) {
	return l.r.view.Partition(p)
}

func (l lookUp) Spans(p segments.Partition, offset int64, n int) []coordinator.Span {
	return l.r.view.Spans(p, offset, n)
}

func (l lookUp) SpanByTime(p segments.Partition, timestamp int64) (coordinator.Span, bool) {
	return l.r.view.SpanByTime(p, timestamp)
}

func (l lookUp) SpanOfMaxTimestamp(p segments.Partition) (coordinator.Span, bool) {
	return l.r.view.SpanOfMaxTimestamp(p)
}
