// Package index is the read path: it finds the spans of a partition by offset and by time, reads
// their bytes from memory or from the bucket, checks them, and gives batches out with their final
// offsets.
//
// A span of a mixed segment is read as a whole. One of a merged segment may be large, so it is read
// in the blocks that the segment's footer names; footers are read as they are needed, and kept in a
// cache of their own, together with index objects: those list the spans of old data, of which the
// view has one that stands for them all.
//
// The bytes that are read at once are a block. A block comes from one of three places: the tail,
// which holds the segments that this node wrote last; the cache, which holds blocks that were read
// from the bucket; or the bucket. Whoever reads a block gets the same bytes, uncopied.
//
// # Memory
//
// Four numbers bound what the index holds: TailBytes, CacheBytes, FooterBytes and FetchBytes. Each
// is honoured exactly and at every moment, with the bookkeeping of the blocks counted in; at most
// half of FetchBytes is ever used for reading ahead. A fetch that finds no room waits, in the
// goroutine of the reader who wants it and for as long as that reader's context allows. Two things
// lie outside: blocks that have left the tail or the cache stay alive while the answer to a reader
// still holds them, so whoever serves readers must bound the bytes of their answers; and a single
// block larger than FetchBytes is fetched alone. The blocks that searches by time have before them
// take at most 64 MiB together: others wait.
//
// # Live and old
//
// Blocks of merged segments, and of others a minute after they were sealed, are old. Gets of old
// blocks take at most half of FetchBytes, and old blocks that want to stay in the cache push live
// ones out of at most a quarter of it. So a replay of everything, by however many readers, leaves
// readers of the tail what they need. It leaves them the processors as well: while somebody is at
// the tail, gets of old blocks go at a rate that falls when the processors are late (pace.go).
package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"firn.dev/coordinator"
	"firn.dev/coordinator/spans"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// View is what the index needs to know of the log; coordinator.View is the one. It shows confirmed
// spans only. Its methods are cheap and safe for concurrent use.
type View interface {
	Partition(p segments.Partition) (coordinator.PartitionInfo, bool)
	Spans(p segments.Partition, offset int64, n int) []coordinator.Span
	SpanByTime(p segments.Partition, timestamp int64) (coordinator.Span, bool)
	SpanOfMaxTimestamp(p segments.Partition) (coordinator.Span, bool)
	Aborted(p segments.Partition, from, to int64) []coordinator.AbortedTransaction
}

var _ View = (*coordinator.View)(nil)

// Options is what an Index needs. Zero values of the numbers mean their defaults; a negative one
// means none.
type Options struct {
	Store      segments.Store
	View       View
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	TailBytes  int64 // of segments that this node wrote, kept for readers of the tail; 64 MiB
	CacheBytes int64 // of blocks read from the bucket; 64 MiB
	// of the indexes of merged segments that were read from, and of index objects; 16 MiB, enough for
	// 100 segments of 256 MiB
	FooterBytes    int64
	FetchBytes     int64         // of gets under way; 32 MiB, and no less than 1 MiB
	ReadAheadBytes int64         // fetched ahead of one sequential reader, at most; 4 MiB
	FetchTimeout   time.Duration // of one get; 30 s

	// CatchUp returns once View shows all that is decided by now; coordinator.Node.CatchUp is the one.
	// It is called when a segment is gone that View names. Without it the index waits a moment.
	CatchUp func(context.Context) error
}

const (
	defaultTailBytes      = 64 << 20
	defaultCacheBytes     = 64 << 20
	defaultFooterBytes    = 16 << 20
	defaultFetchBytes     = 32 << 20
	defaultReadAheadBytes = 4 << 20
	defaultFetchTimeout   = 30 * time.Second

	minFetchBytes = 1 << 20
)

// withDefaults fills in what was left out, and refuses what cannot work.
func (o Options) withDefaults() (Options, error) {
	if o.Store == nil || o.View == nil {
		return o, errors.New("index: Store and View are required")
	}
	fill := func(n *int64, otherwise int64) {
		switch {
		case *n == 0:
			*n = otherwise
		case *n < 0:
			*n = 0
		}
	}
	fill(&o.TailBytes, defaultTailBytes)
	fill(&o.CacheBytes, defaultCacheBytes)
	fill(&o.FooterBytes, defaultFooterBytes)
	fill(&o.FetchBytes, defaultFetchBytes)
	fill(&o.ReadAheadBytes, defaultReadAheadBytes)
	o.FetchBytes = max(o.FetchBytes, minFetchBytes)
	// Blocks that are read ahead, also for a dozen readers at once, have to survive in the cache until
	// they are asked for.
	o.ReadAheadBytes = min(o.ReadAheadBytes, o.CacheBytes/16, o.FetchBytes/4)
	if o.FetchTimeout <= 0 {
		o.FetchTimeout = defaultFetchTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Errors of this package, beside coordinator.ErrUnknownPartition and the store's.
var (
	ErrOffsetOutOfRange = errors.New("offset lies outside the partition")
	ErrCorrupt          = spans.ErrCorrupt
	ErrClosed           = errors.New("the index is closed")
)

// Index reads partitions. Its methods are safe for concurrent use.
type Index struct {
	view    View
	catchUp func(context.Context) error
	logger  *slog.Logger
	metrics *metrics
	tail    *tail
	fetcher *fetcher
	footers *footers
	ahead   *readAhead

	searched *semaphore.Weighted // bytes that searches by time have before them
}

// New returns an index.
func New(opts Options) (*Index, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	m := newMetrics()
	x := &Index{
		view:     opts.View,
		catchUp:  opts.CatchUp,
		logger:   opts.Logger,
		metrics:  m,
		tail:     newTail(opts.TailBytes),
		searched: semaphore.NewWeighted(searchBytes),
	}
	x.fetcher = newFetcher(opts, m)
	x.footers = newFooters(opts, x.fetcher, m)
	x.ahead = newReadAhead(opts.ReadAheadBytes, opts.View, x.tail, x.fetcher, x.footers, m)
	if opts.Registerer != nil {
		if err := m.register(opts.Registerer, x); err != nil {
			x.fetcher.close()
			return nil, fmt.Errorf("index: %w", err)
		}
	}
	return x, nil
}

// Keep takes a segment that this node has just written, with final base offsets, for readers of the
// tail. The bytes must not change afterwards. It may come before the spans are confirmed: nobody
// reads a span that the view does not show.
func (x *Index) Keep(spans []coordinator.CommitSpan, object []byte) {
	x.fetcher.pace.atTail()
	if err := x.tail.keep(spans, object); err != nil {
		// The bucket has the segment as well, so readers lose nothing but speed.
		x.logger.Error("a segment does not match its spans and was not kept for readers of the tail", "error", err)
	}
}

// Chunk is the answer of Read.
type Chunk struct {
	// slices of whole batches, in the order of offsets, with holes where records were compacted away;
	// the first may begin below the offset asked for. Shared: not to be changed
	Batches       [][]byte
	HighWatermark int64
	LastStable    int64
	LogStart      int64
	Missing       bool // of a read InMemory: more is there, in the bucket

	// Aborted are, for a reader of committed records, the transactions that were aborted and have an
	// offset in Batches. Their batches are there: see IsAborted.
	Aborted []coordinator.AbortedTransaction
}

// IsAborted says whether a batch is of an aborted transaction, or a marker: a reader of committed
// records leaves it out.
func (c *Chunk) IsAborted(h *batch.Header) bool {
	return coordinator.IsAborted(c.Aborted, h)
}

// Next is the offset behind the last batch; offset if there is none.
func (c *Chunk) Next(offset int64) int64 {
	if n := len(c.Batches); n > 0 {
		for h, err := range batch.All(c.Batches[n-1]) {
			if err == nil {
				offset = h.BaseOffset + int64(h.LastOffsetDelta) + 1
			}
		}
	}
	return offset
}

// Position is a record's offset and timestamp in milliseconds.
type Position struct {
	Offset    int64
	Timestamp int64
}

// Close drops what the index holds, and waits for the fetches under way.
func (x *Index) Close() error {
	x.fetcher.close()
	x.footers.cache.clear()
	x.tail.clear()
	return nil
}
