// Package embedded is the coordinator in memory: for one process, and as the model of every other.
// It forgets everything when the process ends, which recovers it from the bucket when it starts
// again.
//
// It is a sibling of package redis, and passes the same suite, coordinatortest. What a commit
// becomes is decided by the State (coordinator.State.DecideCommit); here is what surrounds that:
// the lock, commits and changes that may be repeated, facts that await their confirmation, the
// commit stream, leases and registrations.
package embedded

import (
	"context"
	"slices"
	"sync"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Options is what a Coordinator needs. Zero values mean their defaults.
type Options struct {
	Clock func() time.Time
	// how old a segment may be when it is committed, and how long a commit is remembered; 5 minutes
	CommitDeadline time.Duration
	Retain         int // entries that the commit stream keeps at most; 16384
	RetainBytes    int // of memory that they take, about; 16 MiB
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.CommitDeadline == 0 {
		o.CommitDeadline = coordinator.DefaultCommitDeadline
	}
	if o.Retain == 0 {
		o.Retain = 16 << 10
	}
	if o.RetainBytes == 0 {
		o.RetainBytes = retainBytes
	}
	return o
}

// retainBytes is less than coordinator.DefaultRetainBytes: whoever follows is in this process, and
// begins with an empty stream.
const retainBytes = 16 << 20

// Coordinator is a coordinator.Coordinator in memory. It holds two things: a State of everything
// that was decided, confirmed or not, from which it decides; and the commit stream, from which all
// nodes learn of it.
type Coordinator struct {
	opts Options

	mu         sync.Mutex
	generation coordinator.Generation
	decided    *coordinator.State // without spans; nil until opened
	stream     stream
	pending    pending

	// usable says how many partitions of each topic commits may use: as many as are confirmed. A
	// commit into a topic whose creation is still on its way to the journal might survive it.
	usable map[segments.TopicID]int32
	// names of topics whose deletion is not confirmed yet, and so not free: by number of the fact
	settling map[string]uint64

	commits   rememberedIDs[*recentCommit]
	forgotten []int64 // seconds of segments whose commits are forgotten, whatever the clock says now
	changes   rememberedIDs[coordinator.Entry]

	leases     leases
	nodes      nodes
	recovering recovering
	swept      time.Time // when silent producers were looked for
}

var _ coordinator.Coordinator = (*Coordinator)(nil)

// New returns a coordinator that holds nothing: a node has to Recover and Open.
func New(opts Options) *Coordinator {
	opts = opts.withDefaults()
	return &Coordinator{opts: opts, stream: newStream(opts.Retain, opts.RetainBytes)}
}

// Exclusive says that this coordinator serves its own process alone: see Node.
func (e *Coordinator) Exclusive() bool { return true }

// check says whether in is the incarnation that is open here. The caller holds the mutex.
func (e *Coordinator) check(in coordinator.Incarnation) error {
	switch {
	case e.decided == nil:
		return coordinator.ErrNotOpen
	case e.decided.Incarnation() != in:
		return coordinator.ErrIncarnation
	}
	return nil
}

// Generation implements coordinator.Log.
func (e *Coordinator) Generation(context.Context) (coordinator.Generation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.decided == nil {
		return coordinator.Generation{}, coordinator.ErrNotOpen
	}
	return e.generation, nil
}

// Open implements coordinator.Log.
func (e *Coordinator) Open(_ context.Context, state *coordinator.State) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.decided != nil && e.decided.Incarnation() >= state.Incarnation() {
		return coordinator.ErrIncarnation
	}
	g := coordinator.NewGeneration(state.Incarnation())
	if err := state.BeginOpening(g); err != nil {
		return err
	}
	e.generation, e.decided = g, state.Decider()
	followers := e.stream.followers
	e.stream = newStream(e.opts.Retain, e.opts.RetainBytes)
	e.stream.followers = followers
	e.pending = newPending()
	e.usable = map[segments.TopicID]int32{}
	e.settling = map[string]uint64{}
	for t := range state.Topics() {
		if !t.Deleted {
			e.usable[t.ID] = t.Partitions
		}
	}
	e.commits, e.changes = rememberedIDs[*recentCommit]{}, rememberedIDs[coordinator.Entry]{}
	since := e.opts.Clock().Add(-e.opts.CommitDeadline).Truncate(time.Second) // each second whole, or not at all
	e.forgotten = slices.DeleteFunc(state.CommitSeconds(), func(second int64) bool { return second >= since.Unix() })
	for id, spans := range state.Young(since) {
		e.commits.remember(id, id.Time().Add(e.opts.CommitDeadline),
			&recentCommit{segment: coordinator.NewCommittedSegment(spans)})
	}
	e.leases, e.nodes = leases{incarnation: state.Incarnation()}, nodes{}
	e.stream.wake() // followers of the incarnation before
	return nil
}

// Settled implements coordinator.Stream.
func (e *Coordinator) Settled(_ context.Context, in coordinator.Incarnation) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return 0, err
	}
	return e.unconfirmed() - 1, nil
}

// Latest implements coordinator.Stream.
func (e *Coordinator) Latest(_ context.Context, in coordinator.Incarnation) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return 0, err
	}
	return e.stream.last(), nil
}

// unconfirmed is the number of the oldest fact that awaits its confirmation, or the next number if
// there is none.
func (e *Coordinator) unconfirmed() uint64 {
	if seq, any := e.pending.oldest(); any {
		return seq
	}
	return e.stream.last() + 1
}

// decide puts a fact into the commit stream, where it awaits its confirmation.
func (e *Coordinator) decide(f *coordinator.Fact) coordinator.Entry {
	entry := e.stream.append(coordinator.Entry{Fact: f}, e.unconfirmed())
	e.pending.add(entry.Seq, f)
	return entry
}

// Confirm implements coordinator.Log.
func (e *Coordinator) Confirm(_ context.Context, in coordinator.Incarnation, seqs []uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return err
	}
	var confirmed []uint64
	for _, seq := range seqs {
		f := e.pending.take(seq)
		if f == nil {
			continue
		}
		confirmed = append(confirmed, seq)
		if f.Commit != nil {
			e.decided.ConfirmCommit(f.Commit)
		} else if f.TransactionalID != nil {
			e.decided.ConfirmID(f.TransactionalID)
		}
		if t := f.Topic; t != nil && t.Deleted {
			delete(e.usable, t.ID)
			e.decided.ConfirmDeletion(t.ID)
			if e.settling[t.Name] == seq {
				delete(e.settling, t.Name)
			}
		} else if t != nil && !e.decided.Topic(t.ID).Deleted {
			e.usable[t.ID] = max(e.usable[t.ID], t.Partitions)
		}
	}
	if len(confirmed) > 0 {
		e.stream.append(coordinator.Entry{Confirmed: confirmed}, e.unconfirmed())
	}
	return nil
}

// rememberedIDs remembers answers by id until their time has come.
type rememberedIDs[V any] struct {
	byID  map[segments.ID]V
	queue []expiring
}

type expiring struct {
	id    segments.ID
	until time.Time
}

func (m *rememberedIDs[V]) remember(id segments.ID, until time.Time, v V) {
	if m.byID == nil {
		m.byID = map[segments.ID]V{}
	}
	if _, known := m.byID[id]; !known {
		m.queue = append(m.queue, expiring{id, until})
	}
	m.byID[id] = v
}

// expire forgets what has had its time, and returns the ids. Entries come nearly in order of their
// times; one that lasts longer keeps those behind it a little longer.
func (m *rememberedIDs[V]) expire(now time.Time) (forgotten []segments.ID) {
	for len(m.queue) > 0 && m.queue[0].until.Before(now) {
		id := m.queue[0].id
		forgotten = append(forgotten, id)
		delete(m.byID, id)
		m.queue = m.queue[1:]
	}
	return forgotten
}

// forgetCommits forgets the commits that have had their time, but for the seconds of their
// segments.
func (e *Coordinator) forgetCommits(now time.Time) {
	for _, id := range e.commits.expire(now) {
		if second := id.Time().Unix(); !slices.Contains(e.forgotten, second) {
			e.forgotten = append(e.forgotten, second)
		}
	}
	e.forgotten = e.forgotten[max(0, len(e.forgotten)-coordinator.MaxCommitSeconds):]
}

// highWatermark is the end of a partition's confirmed prefix; false if there is no such partition.
func (e *Coordinator) highWatermark(at segments.Partition) (int64, bool) {
	if !e.mayUse(at) {
		return 0, false
	}
	if p := e.pending.prefixes[at]; p != nil {
		return p.end, true
	}
	end, _, _ := e.decided.Position(at)
	return end, true
}
