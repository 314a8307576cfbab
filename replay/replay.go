// Package replay reads topics straight from the bucket: no node, no coordinator, read access alone.
// It reads large ranges of objects, several at once, each mixed segment about once however many
// partitions are in it, and gives batches or records in the order of each partition; or it writes
// them into files.
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/index"
	"firn.dev/retry"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Options say what to replay. Zero values mean the defaults.
type Options struct {
	Store      segments.Store
	Topic      string
	Partitions []int32 // nil: all
	From       Place   // Earliest
	To         Place   // the zero value means Latest: where the partition ends now

	// Uncommitted gives out records of open and aborted transactions as well. A replay of committed
	// ones ends where the first open transaction begins.
	Uncommitted bool

	Follow bool          // at the end, go on with what is journaled from then on; To must be Latest
	Poll   time.Duration // how often Follow looks; 1 s. A record is seen about that long after it was acknowledged

	// bytes for gets that are under way or not yet worked off, decoding and outputs; 256 MiB, and no
	// less than 16 MiB
	Memory   int64
	Parallel int                           // gets at once; 8
	Note     func(format string, a ...any) // told of what a person should know; nil: nobody is
}

const (
	defaultMemory = 256 << 20
	minMemory     = 16 << 20
	maxGetBytes   = 8 << 20
	// maxReloads is how often the state is read anew because a segment is gone, before anything else
	// could be read.
	maxReloads = 5
)

func (o Options) withDefaults() (Options, error) {
	o.Memory = cmp.Or(o.Memory, defaultMemory)
	o.Parallel = cmp.Or(o.Parallel, 8)
	o.Poll = cmp.Or(o.Poll, time.Second)
	if o.To == (Place{}) {
		o.To = Latest
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	var problems []error
	if o.Memory < minMemory {
		problems = append(problems, fmt.Errorf("Memory: %d bytes is less than %d MiB", o.Memory, minMemory>>20))
	}
	if o.Parallel < 1 || o.Parallel > 1024 {
		problems = append(problems, fmt.Errorf("Parallel: %d is not within 1 and 1024", o.Parallel))
	}
	if o.Follow && o.To != Latest {
		problems = append(problems, errors.New("Follow has no end: it does not go with To"))
	}
	return o, errors.Join(problems...)
}

// ErrDeleted says that records are gone that were to be replayed.
var ErrDeleted = errors.New("records were deleted while they were to be replayed")

// Range is what is replayed of a partition: offsets from From on, below To.
type Range struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"`
}

// Replay is a topic to be read. Its iterators and Run are for one caller at a time.
type Replay struct {
	opts   Options
	reader *coordinator.Reader
	store  *counting
	view   *coordinator.View
	topic  *coordinator.Topic
	ranges []Range

	read    atomic.Int64 // bytes
	records atomic.Int64
	skipped skipped
}

// Open reads the state that the bucket has and finds where the ranges begin and end. They stay as
// they are, whatever is written meanwhile.
func Open(ctx context.Context, opts Options) (*Replay, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Replay{opts: opts, store: &counting{Store: opts.Store}}
	r.reader = coordinator.NewReader(r.store)
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	if r.topic = r.view.Topic(opts.Topic); r.topic == nil {
		return nil, r.unknownTopic()
	}
	if r.ranges, err = r.resolve(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Topic is the topic that is replayed, as it was when the Replay was opened.
func (r *Replay) Topic() coordinator.Topic { return *r.topic }

// Ranges are what is replayed, ordered by partition. With Follow their ends are math.MaxInt64.
func (r *Replay) Ranges() []Range { return slices.Clone(r.ranges) }

// SetRanges replaces the ranges: for what goes on where another Replay was interrupted.
func (r *Replay) SetRanges(ranges []Range) { r.ranges = slices.Clone(ranges) }

// Read is how many bytes of segments came from the store so far, and how many records were given to
// sinks. It may be called at any time.
func (r *Replay) Read() (bytes, records int64) { return r.read.Load(), r.records.Load() }

func (r *Replay) load(ctx context.Context) error {
	state, err := r.reader.State(ctx)
	if err != nil {
		return err
	}
	r.view = coordinator.NewView(state)
	return nil
}

func (r *Replay) unknownTopic() error {
	var names []string
	for _, t := range r.view.Topics() {
		if names = append(names, t.Name); len(names) == 10 {
			break
		}
	}
	return fmt.Errorf("the bucket has no topic %q; it has %q", r.opts.Topic, names)
}

func (r *Replay) planner(ranges []Range) *planner {
	p := newPlanner(r.view, r.topic.ID, ranges, min(maxGetBytes, r.opts.Memory/16))
	p.expand = func(ctx context.Context, at segments.Partition, span *coordinator.Span) ([]coordinator.Span, error) {
		return coordinator.ReadIndex(ctx, r.store, at, span)
	}
	p.blocks = func(ctx context.Context, span *coordinator.Span) ([]segments.Block, error) {
		blocks, err := segments.ReadBlocks(ctx, r.store, span.Segment, segments.SuffixFor(span.Length))
		if err != nil {
			return nil, damaged(&spans.Piece{Span: *span}, span.Segment, err)
		}
		return blocks, nil
	}
	return p
}

// chunks calls take with the chunks of these ranges, the first of which may begin before its range
// and the last end behind it. It goes on in the newest state when a segment is gone, and with
// Follow at the end.
func (r *Replay) chunks(ctx context.Context, ranges []Range, take func(*chunk) error) error {
	left := slices.Clone(ranges)
	ahead := r.opts.Memory / 2
	f := &fetcher{
		store:    r.store,
		parallel: r.opts.Parallel,
		ahead:    ahead,
		room:     semaphore.NewWeighted(ahead),
		read:     &r.read,
	}
	for reloads := 0; ; {
		moved := false
		readable := r.readable(left)
		err := f.chunks(ctx, r.planner(readable), func(c *chunk) error {
			// the bytes of a merged segment may begin within what the segments before it had
			c.from, c.to = left[c.at].From, readable[c.at].To
			left[c.at].From, moved = max(c.from, min(c.last+1, c.to)), true
			c.aborted = r.aborted(left[c.at].Partition, c)
			return take(c)
		})
		if moved {
			reloads = 0
		}
		wait := r.opts.Poll
		switch {
		case errors.Is(err, segments.ErrNotFound) && reloads < maxReloads:
			wait = time.Duration(reloads) * 200 * time.Millisecond
			reloads++
		case err != nil || !r.opts.Follow:
			return err
		}
		if err := retry.Pause(ctx, wait); err != nil {
			return err
		}
		if err := r.reload(ctx, left); err != nil {
			return err
		}
	}
}

// end is up to where a partition is replayed at present.
func (r *Replay) end(info coordinator.PartitionInfo) int64 {
	if r.opts.Uncommitted {
		return info.HighWatermark
	}
	return info.LastStable
}

// readable are the parts of ranges that can be read at present.
func (r *Replay) readable(ranges []Range) []Range {
	readable := slices.Clone(ranges)
	for i := range readable {
		info, _ := r.view.Partition(segments.Partition{Topic: r.topic.ID, Index: readable[i].Partition})
		readable[i].To = min(readable[i].To, r.end(info))
	}
	return readable
}

// aborted says which batches of a chunk are left out.
func (r *Replay) aborted(partition int32, c *chunk) func(h *batch.Header) bool {
	if r.opts.Uncommitted {
		return func(*batch.Header) bool { return false }
	}
	part := segments.Partition{Topic: r.topic.ID, Index: partition}
	known := index.Chunk{Aborted: r.view.Aborted(part, c.from, c.last+1)}
	return known.IsAborted
}

// reload reads the newest state and looks what became of what is left.
func (r *Replay) reload(ctx context.Context, left []Range) error {
	if err := r.load(ctx); err != nil {
		return err
	}
	for i := range left {
		part := segments.Partition{Topic: r.topic.ID, Index: left[i].Partition}
		info, ok := r.view.Partition(part)
		if !ok {
			return fmt.Errorf("%w: topic %q was deleted", ErrDeleted, r.topic.Name)
		}
		start := min(info.LogStart, left[i].To)
		if start <= left[i].From {
			continue
		}
		if r.opts.From != Earliest {
			return fmt.Errorf("%w: offsets %d to %d of partition %d are gone, by retention or DeleteRecords; "+
				"begin at %d or at the earliest offset",
				ErrDeleted, left[i].From, start-1, part.Index, start)
		}
		r.opts.Note(
			"offsets %d to %d of partition %d were deleted meanwhile; going on behind them",
			left[i].From,
			start-1,
			part.Index,
		)
		left[i].From = start
	}
	return nil
}

// Batch is a record batch of format v2 as it lies in the bucket, with its offsets.
type Batch struct {
	Partition int32
	Bytes     []byte // good until the next Batch is asked for
}

// errEnough ends an iteration.
var errEnough = errors.New("the consumer has had enough")

// Batches yields the batches that have records in the ranges, those of each partition in order. The
// first and the last of a partition may have records outside of it. On failure it yields one error
// and ends.
func (r *Replay) Batches(ctx context.Context) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		err := r.chunks(ctx, r.ranges, func(c *chunk) error {
			defer c.release()
			within := c.within(&r.ranges[c.at])
			return c.batches(&within, func(b []byte, _ batch.Header) error {
				if !yield(Batch{within.Partition, b}, nil) {
					return errEnough
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(Batch{}, err)
		}
	}
}

// within is the part of a range that the chunk is to be looked through for.
func (c *chunk) within(r *Range) Range {
	return Range{r.Partition, max(r.From, c.from), min(r.To, c.to)}
}

// batches calls take with the batches that have offsets within a range.
func (c *chunk) batches(within *Range, take func([]byte, batch.Header) error) error {
	for b := range spans.Split(c.bytes, c.starts) {
		h, err := batch.ReadHeader(b)
		if err != nil {
			return err // it was checked, so this cannot be
		}
		if h.BaseOffset >= within.To {
			break
		}
		if h.BaseOffset+int64(h.LastOffsetDelta) < within.From || c.aborted(&h) {
			continue
		}
		if err := take(b, h); err != nil {
			return err
		}
	}
	return nil
}

// Record is a record and its partition.
type Record struct {
	Partition int32
	batch.Record
}

// Records yields the records of the ranges, those of each partition in order, without the markers
// of transactions and what cannot be read (see Skipped). A record's bytes are good until the next
// one is asked for. On failure it yields one error and ends.
func (r *Replay) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for b, err := range r.Batches(ctx) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			at, _ := slices.BinarySearchFunc(
				r.ranges,
				b.Partition,
				func(g Range, p int32) int { return cmp.Compare(g.Partition, p) },
			)
			for _, one := range r.appendRecords(nil, b.Bytes, &r.ranges[at]) {
				if !yield(Record{b.Partition, one}, nil) {
					return
				}
			}
		}
	}
}

// appendRecords appends the records of a batch that lie in a range. Those from the first on that
// cannot be read are skipped: nobody ever will read them, and what lies behind them has to be
// reached.
func (r *Replay) appendRecords(to []batch.Record, b []byte, within *Range) []batch.Record {
	h, err := batch.ReadHeader(b)
	if err == nil && h.Attributes.Control() {
		return to
	}
	next := max(h.BaseOffset, within.From)
	for one, err := range batch.Records(b, batch.MaxDecompressed) {
		if err != nil {
			end := min(h.BaseOffset+int64(h.LastOffsetDelta)+1, within.To)
			r.skipped.add(Range{within.Partition, next, max(next, end)}, err, r.opts.Note)
			break
		}
		if one.Offset >= within.From && one.Offset < within.To {
			to = append(to, one)
			next = one.Offset + 1
		}
	}
	return to
}

// noEnd is the To of a range that goes on and on.
const noEnd = math.MaxInt64
