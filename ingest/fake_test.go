package ingest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// cluster is a coordinator, a node and a view in a few lines, in which tests can end lives, fail
// calls and hold confirmations back. Offsets, dedupe and high watermarks are real; there is no
// bucket: what is settled survives, what is not is lost with its life.
type cluster struct {
	mu         sync.Mutex
	moved      *sync.Cond
	watchers   map[chan struct{}]struct{}
	current    *fakeLife
	gone       error // no next life
	seq        uint64
	partitions map[segments.Partition]*fakePartition
	unseen     map[segments.Partition]bool // the view does not show them yet
	deleted    map[segments.TopicID]bool
	pending    map[uint64]pendingFact
	commits    []segments.ID // in order, also repeated ones

	nodes atomic.Int32 // that are alive

	// Scripts. They are called without the lock, and may be nil.
	onCommit func(coordinator.CommitRequest) error
	onSettle func([]coordinator.Entry) error
}

type fakePartition struct {
	log   []*logged
	hw    int64
	start int64 // of the log
}

// logged is one batch that was given offsets.
type logged struct {
	segment   segments.ID
	position  int64
	batch     coordinator.CommitBatch
	base      int64
	confirmed bool
	seq       uint64
}

type pendingFact struct {
	entry coordinator.Entry
	since time.Time
}

func newCluster() *cluster {
	c := &cluster{
		watchers:   map[chan struct{}]struct{}{},
		partitions: map[segments.Partition]*fakePartition{},
		unseen:     map[segments.Partition]bool{},
		deleted:    map[segments.TopicID]bool{},
		pending:    map[uint64]pendingFact{},
	}
	c.moved = sync.NewCond(&c.mu)
	c.current = &fakeLife{c: c, incarnation: 1, ended: make(chan struct{})}
	return c
}

func (c *cluster) create(ps ...segments.Partition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range ps {
		c.partitions[p] = &fakePartition{}
	}
}

// nextLife ends the current life and loses everything that was not confirmed, as a recovery does,
// and what was deleted.
func (c *cluster) nextLife() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.current.ended)
	c.current = &fakeLife{c: c, incarnation: c.current.incarnation + 1, ended: make(chan struct{})}
	c.seq = 0
	clear(c.pending)
	for _, p := range c.partitions {
		p.log = slices.DeleteFunc(p.log, func(l *logged) bool {
			return l.base >= p.hw || l.base+int64(l.batch.Records) <= p.start
		})
	}
}

// fence ends the current life, and there is no other.
func (c *cluster) fence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.current.ended)
	c.gone = coordinator.ErrFenced
}

func (c *cluster) Now() time.Time { return time.Now() }

func (c *cluster) Life(ctx context.Context) (life, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return nil, c.gone
	}
	return c.current, nil
}

type fakeLife struct {
	c           *cluster
	incarnation coordinator.Incarnation
	ended       chan struct{}
}

func (l *fakeLife) Incarnation() coordinator.Incarnation { return l.incarnation }
func (l *fakeLife) Ended() <-chan struct{}               { return l.ended }
func (l *fakeLife) Current(context.Context) error        { return l.over() }

func (c *cluster) HasSpan(segments.Partition, int64, segments.ID) bool { return false }

// No fake carries anything: those tests have real nodes.
func (c *cluster) Alive(string) bool { return true }

func (c *cluster) Nodes() []coordinator.NodeInfo { return make([]coordinator.NodeInfo, c.nodes.Load()) }

func (c *cluster) Slowness() *segments.Slowness {
	return segments.NewSlowness(segments.SlowPuts)
}

func (l *fakeLife) Carry(context.Context, time.Time) (carriage, error) { return nil, l.over() }
func (l *fakeLife) Abandon(error)                                      {}
func (l *fakeLife) Carries(context.Context, segments.ID, bool) (bool, error) {
	return false, errors.New("it carries nothing")
}

func (l *fakeLife) over() error {
	select {
	case <-l.ended:
		return coordinator.ErrFenced
	default:
		return nil
	}
}

func (l *fakeLife) Commit(ctx context.Context, req coordinator.CommitRequest) (coordinator.CommitAnswer, error) {
	if l.c.onCommit != nil {
		if err := l.c.onCommit(req); err != nil {
			return coordinator.CommitAnswer{}, err
		}
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if err := l.over(); err != nil {
		return coordinator.CommitAnswer{}, err
	}
	return l.c.commit(l.incarnation, req), nil
}

func (c *cluster) commit(in coordinator.Incarnation, req coordinator.CommitRequest) coordinator.CommitAnswer {
	c.commits = append(c.commits, req.Segment)
	fact := &coordinator.Fact{Incarnation: in, Commit: &coordinator.Commit{Segment: req.Segment}}
	answer := coordinator.CommitAnswer{}
	seq := c.seq + 1
	for _, run := range req.Runs {
		p := c.partitions[run.Partition]
		position := run.Position
		var answers []coordinator.BatchAnswer
		for _, b := range run.Batches {
			if p == nil {
				answers = append(answers, coordinator.BatchAnswer{Err: coordinator.ErrUnknownPartition})
				continue
			}
			a, added := p.append(req.Segment, position, b, seq)
			if added {
				fact.Commit.Spans = append(fact.Commit.Spans, coordinator.CommitSpan{Partition: run.Partition,
					Span: coordinator.Span{
						Segment: req.Segment, Base: a.BaseOffset, Last: a.BaseOffset + int64(b.Records) - 1, Position: position,
						Length: int64(b.Length),
					}})
			}
			answers = append(answers, a)
			position += int64(b.Length)
		}
		answer.Runs = append(answer.Runs, answers)
	}
	if len(fact.Commit.Spans) > 0 {
		c.seq = seq
		answer.Entry = coordinator.Entry{Seq: seq, Fact: fact}
		c.pending[seq] = pendingFact{answer.Entry, time.Now()}
		c.tell()
	}
	return answer
}

func (p *fakePartition) append(id segments.ID, position int64, b coordinator.CommitBatch,
	seq uint64) (coordinator.BatchAnswer, bool) {
	next := int64(0)
	for _, l := range p.log {
		next = l.base + int64(l.batch.Records)
		if l.segment == id && l.position == position {
			return coordinator.BatchAnswer{BaseOffset: l.base}, false
		}
		if b.ProducerID >= 0 && l.batch.ProducerID == b.ProducerID && l.batch.BaseSequence == b.BaseSequence {
			return coordinator.BatchAnswer{BaseOffset: l.base, Err: coordinator.ErrDuplicate}, false
		}
	}
	if b.ProducerID >= 0 {
		expected := int32(0)
		for _, l := range p.log {
			if l.batch.ProducerID == b.ProducerID {
				expected = l.batch.BaseSequence + l.batch.Records
			}
		}
		if b.BaseSequence != expected {
			return coordinator.BatchAnswer{Err: coordinator.ErrOutOfOrder}, false
		}
	}
	p.log = append(p.log, &logged{segment: id, position: position, batch: b, base: next, seq: seq})
	return coordinator.BatchAnswer{BaseOffset: next}, true
}

func (l *fakeLife) Settle(ctx context.Context, entries ...coordinator.Entry) error {
	if l.c.onSettle != nil {
		if err := l.c.onSettle(entries); err != nil {
			return err
		}
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if err := l.over(); err != nil {
		return err
	}
	for _, e := range entries {
		l.c.confirm(e.Seq)
	}
	return nil
}

// confirm moves the high watermarks over their confirmed prefixes.
func (c *cluster) confirm(seq uint64) {
	delete(c.pending, seq)
	for _, p := range c.partitions {
		for _, l := range p.log {
			l.confirmed = l.confirmed || l.seq == seq
		}
		p.hw = 0
		for _, l := range p.log {
			if !l.confirmed {
				break
			}
			p.hw = l.base + int64(l.batch.Records)
		}
	}
	// Numbers begin anew in each incarnation: what is confirmed must not be found under its number
	// again.
	for _, p := range c.partitions {
		for _, l := range p.log {
			if l.confirmed {
				l.seq = 0
			}
		}
	}
	c.tell()
}

func (c *cluster) tell() {
	c.moved.Broadcast()
	for ch := range c.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (c *cluster) Partition(p segments.Partition) (coordinator.PartitionInfo, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fp := c.partitions[p]
	if fp == nil || c.unseen[p] {
		return coordinator.PartitionInfo{}, false
	}
	return coordinator.PartitionInfo{LogStart: fp.start, HighWatermark: fp.hw}, true
}

func (c *cluster) Deleted(id segments.TopicID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deleted[id]
}

func (c *cluster) Watch(...segments.Partition) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers[ch] = struct{}{}
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, ch)
	}
}

func (c *cluster) Stalled(ctx context.Context, age time.Duration) ([]coordinator.Entry, error) {
	stop := context.AfterFunc(ctx, func() { c.mu.Lock(); c.moved.Broadcast(); c.mu.Unlock() })
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var stalled []coordinator.Entry
		wait := time.Duration(-1)
		for _, seq := range slices.Sorted(maps.Keys(c.pending)) {
			if left := age - time.Since(c.pending[seq].since); left <= 0 {
				stalled = append(stalled, c.pending[seq].entry)
			} else if wait < 0 || left < wait {
				wait = left
			}
		}
		if len(stalled) > 0 {
			return stalled, nil
		}
		var timer *time.Timer
		if wait >= 0 {
			timer = time.AfterFunc(wait, func() { c.mu.Lock(); c.moved.Broadcast(); c.mu.Unlock() })
		}
		c.moved.Wait()
		if timer != nil {
			timer.Stop()
		}
	}
}
