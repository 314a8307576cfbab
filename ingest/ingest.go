// Package ingest is the write path: it collects record batches of all partitions, seals them into
// mixed segments, puts those into the bucket in parallel, commits them in the order in which they
// were sealed, has their facts journaled and confirmed, and only then answers.
//
// One batch passes through the files in this order: ingest.go takes it in, collect.go groups it
// with its neighbours and flush.go seals them when policy.go says so, encode.go and put.go make an
// object of the segment, commit.go gets offsets for it, settle.go journals those and answers.
// Beside them, help.go settles the commits that a dead node left pending, membership.go lists what
// ingest needs of the coordinator, and direct.go is the same path without a node, for functions
// that live for moments.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"firn.dev/budget"
	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Errors of this package, beside coordinator's. After ErrClosed and ErrNotWritten it is certain
// that the batch is not written and never will be by this try; after ErrInDoubt and
// coordinator.ErrFenced it may be. A producer may try again after each of the four.
var (
	ErrClosed     = errors.New("the writer is closed")
	ErrTooLarge   = errors.New("more bytes at once than the write buffer holds")
	ErrNotWritten = errors.New("not written")
	ErrInDoubt    = errors.New("not known to be written")
)

// Batch is one record batch on its way in: checked (batch.Check) and authorised by the front door.
type Batch struct {
	Partition segments.Partition
	Header    batch.Header
	Bytes     []byte // not changed by anybody until the batch is answered
	// the request that the batch is of, all of it that goes into this partition; nil: none
	Key *coordinator.RequestKey

	Protocol coordinator.Protocol // of a transactional batch
	// Ending says that the batch is a marker, made by markerOf. All markers of an ending come in one
	// Append, with the same pointer. Their answers have the ending's error, if it was not decided:
	// then none of them is written, and with coordinator.ErrBuildAnew it has to be built anew. Once
	// they are answered without, the ending is complete, as far as other partitions have no hole.
	Ending *coordinator.Ending
	// Atomic says that the batch is of an atomic request. All its batches come in one Append, with the
	// same pointer and nothing else, each in another partition and with the same key. Either all of
	// them are written, once, or each has an error: AtomicError says what became of the request.
	Atomic *coordinator.Atomic
}

// check refuses what would be refused later together with everything that shares its segment.
func (b *Batch) check() error {
	h := &b.Header
	switch {
	case len(b.Bytes) < batch.HeaderLen || len(b.Bytes) != h.Size():
		return fmt.Errorf("%w: %d bytes with a header of %d", batch.ErrCorrupt, len(b.Bytes), h.Size())
	case h.Records < 1:
		return fmt.Errorf("%w: %d records", batch.ErrCorrupt, h.Records)
	case h.Attributes.Control() != (b.Ending != nil), h.Attributes.Transactional() != (b.Ending != nil ||
		b.Protocol != coordinator.NotTransactional):
		return fmt.Errorf("%w: attributes %#x of a batch of protocol %d", batch.ErrCorrupt, h.Attributes, b.Protocol)
	case b.Ending != nil:
		return b.checkMarker()
	case h.ProducerID >= 0 && (h.ProducerEpoch < 0 || h.BaseSequence < 0):
		return fmt.Errorf(
			"%w: epoch %d and sequence %d of producer %d",
			batch.ErrCorrupt,
			h.ProducerEpoch,
			h.BaseSequence,
			h.ProducerID,
		)
	case h.ProducerID >= 0 && b.Key != nil:
		return fmt.Errorf("%w: a key and producer %d", batch.ErrCorrupt, h.ProducerID)
	}
	return nil
}

// Result answers one batch, after it is durable and readable everywhere.
type Result struct {
	BaseOffset     int64
	LogStartOffset int64
	// nil, one of coordinator's producer errors, ErrUnknownPartition or ErrFenced, or one of this
	// package's
	Err error
}

// batchOverhead is what a batch costs in memory beside its bytes; it counts, so that a flood of
// tiny batches is bounded as well.
const batchOverhead = 192

// Writer is the write path of one node.
type Writer struct {
	opts    Options
	node    node
	view    view
	metrics *metrics
	room    *budget.Pool   // of opts.BufferBytes
	insider *budget.Client // of room: whoever appends without being a client
	puts    *uploader
	budget  *putBudget

	// ctx ends when the writer fails for good, or is closed without patience; its cause says why.
	ctx    context.Context
	cancel context.CancelCauseFunc

	buffered atomic.Int64
	sealed   chan *segment // in the order of sealing
	wake     chan struct{} // the flusher has something new to consider
	running  sync.WaitGroup
	ours     seqSet
	missing  missing // of help alone

	mu         sync.Mutex
	open       *segment   // being collected; nil if nothing is
	full       []*segment // reached FlushBytes and wait for a put slot
	putting    int        // segments that hold a put slot
	carrying   *segment   // that the journal carries, or is to; nil if it carries none
	unanswered int        // segments sealed and not yet answered
	crowd      int        // how many appends the last flush carried
	quiet      quiet
	closing    bool
	err        error // why nothing is taken any more
}

// New starts a writer.
func New(opts Options) (*Writer, error) {
	if opts.Node == nil {
		return nil, errors.New("ingest: Node is missing")
	}
	return start(opts, member{opts.Node}, watched{opts.Node.View()})
}

func start(opts Options, n node, v view) (*Writer, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	w := &Writer{
		opts: opts,
		node: n,
		view: v,
		room: budget.New(budget.Options{Limit: "buffer-bytes", Bytes: opts.BufferBytes,
			Largest: min(opts.LargestAppend, opts.BufferBytes)}),
		sealed: make(chan *segment, maxUnanswered),
		wake:   make(chan struct{}, 1),

		missing: missing{},
	}
	var sharing func() int
	if opts.BudgetShared {
		sharing = func() int { return len(n.Nodes()) }
	}
	w.budget = newBudget(opts.PutBudget, sharing)
	w.warnOfBudget()
	w.insider = w.room.Client(netip.Addr{})
	w.metrics = newMetrics(opts.Registerer, &w.buffered)
	n.Slowness().OnHedge(func() { w.budget.spend(1, time.Now()) })
	w.puts = newUploader(opts.Store, n.Slowness(), w.budget, w.metrics, opts.Logger)
	w.ctx, w.cancel = context.WithCancelCause(context.Background())
	w.running.Go(w.flush)
	w.running.Go(w.commit)
	w.running.Go(w.help)
	return w, nil
}

// warnOfBudget says that the node will spend more than its budget under load, by the nodes that are
// there when it starts. If the journal may carry segments, it is taken to carry all of them.
func (w *Writer) warnOfBudget() {
	cost := float64(flushCost)
	if w.opts.CarryBytes > 0 {
		cost = carriedCost
	}
	if !w.budget.covers(cost, w.opts.FlushInterval) {
		w.opts.Logger.Warn("under load this node puts more objects than put-budget: no record waits longer than "+
			"flush-interval; raise one of them", "puts_per_second", w.budget.rate(), "flush_interval", w.opts.FlushInterval)
	}
}

// Client returns a client of the write buffer, at an address. It has to be closed; that may be
// before its batches are answered.
func (w *Writer) Client(at netip.Addr) *budget.Client { return w.room.Client(at) }

// Append is AppendOf for those who are no clients: the process itself.
func (w *Writer) Append(ctx context.Context, batches []Batch) (*Pending, error) {
	return w.AppendOf(ctx, w.insider, batches)
}

// AppendOf takes batches of a client in, all or none. It waits for room in the buffer, no longer
// than ctx: clients share it as the requests of a budget.Pool do, so that those who have much of it
// do not keep out those who want little. Batches of later calls of the client come behind, also if
// those are made before this one returns. Once it has returned without error the batches will be
// answered, whatever happens to ctx.
func (w *Writer) AppendOf(ctx context.Context, client *budget.Client, batches []Batch) (*Pending, error) {
	p := newPending(len(batches))
	if len(batches) == 0 {
		return p, nil
	}
	var bytes int64
	for i := range batches {
		if err := batches[i].check(); err != nil {
			return nil, err
		}
		bytes += int64(len(batches[i].Bytes)) + batchOverhead
	}
	if err := checkAtomic(batches); err != nil {
		return nil, err
	}
	p.room = client.Hold()
	if err := w.reserve(ctx, p, bytes); err != nil {
		return nil, err
	}
	if err := w.collect(p, batches); err != nil {
		w.release(p, bytes)
		return nil, err
	}
	return p, nil
}

// reserve waits for room in the buffer.
func (w *Writer) reserve(ctx context.Context, p *Pending, bytes int64) error {
	if !p.room.TryGrow(bytes) {
		start := time.Now()
		err := p.room.Grow(ctx, bytes)
		if errors.Is(err, budget.ErrTooLarge) {
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		w.metrics.fullWaits.Inc()
		w.metrics.fullSeconds.Add(time.Since(start).Seconds())
		if err != nil {
			return fmt.Errorf("waiting for room in the write buffer: %w", err)
		}
	}
	w.buffered.Add(bytes)
	return nil
}

// release frees room that batches of an Append had.
func (w *Writer) release(p *Pending, bytes int64) {
	w.buffered.Add(-bytes)
	p.room.Shrink(bytes)
}

// Buffered returns the bytes taken and not yet answered, and the bound. Each batch counts a little
// more than its own bytes.
func (w *Writer) Buffered() (bytes, limit int64) { return w.buffered.Load(), w.opts.BufferBytes }

// Close takes no more batches, writes and answers those that it has, and waits for everything that
// it started. If ctx ends first, what is still unanswered is answered with ErrClosed, and Close
// does not wait for stores that do not let go.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closing = true
	if w.err == nil {
		w.err = ErrClosed
	}
	w.mu.Unlock()
	w.poke()

	ended := make(chan struct{})
	go func() {
		w.running.Wait()
		close(ended)
	}()
	defer w.cancel(ErrClosed)
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the writer: %w", ctx.Err())
	}
}

// fail gives up for good: nothing is taken any more, and what is on its way is answered with err.
func (w *Writer) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.cancel(err)
	w.poke()
}

// poke has the flusher look again.
func (w *Writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Pending is an Append on its way.
type Pending struct {
	room    *budget.Hold // of its batches that are not answered
	results []Result
	left    atomic.Int32
	stages  []Stage // once it is done
	done    chan struct{}
}

func newPending(n int) *Pending {
	p := &Pending{results: make([]Result, n), done: make(chan struct{})}
	p.left.Store(int32(n))
	if n == 0 {
		close(p.done)
	}
	return p
}

// Wait returns the answer for each batch, in the order of the Append. If ctx ends first it returns
// its error; the batches may still be written.
func (p *Pending) Wait(ctx context.Context) ([]Result, error) {
	select {
	case <-p.done:
		return p.results, nil
	default:
	}
	select {
	case <-p.done:
		return p.results, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Done is closed when every batch has its answer.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Stages are those of the segment with the batch that was answered last: what was waited for. There
// are none before Done.
func (p *Pending) Stages() []Stage {
	select {
	case <-p.done:
		return p.stages
	default:
		return nil
	}
}

func (p *Pending) answer(slot int32, r Result, stages []Stage) {
	p.results[slot] = r
	if p.left.Add(-1) == 0 {
		p.stages = stages
		close(p.done)
	}
}

// ClassOf says what the error of an answer means: as coordinator.ClassOf does, and for the errors
// of this package.
func ClassOf(err error) coordinator.Class {
	switch {
	case errors.Is(err, ErrInDoubt):
		return coordinator.ClassInDoubt
	case errors.Is(err, ErrNotWritten), errors.Is(err, ErrClosed):
		return coordinator.ClassLater
	}
	return coordinator.ClassOf(err)
}

// lifeOver says whether err means that a node's life has ended.
func lifeOver(err error) bool {
	return err != nil && coordinator.ClassOf(err) == coordinator.ClassNewLife
}
