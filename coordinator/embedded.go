package coordinator

import (
	"context"
	"slices"
	"sync"
	"time"

	"firn.dev/segments"
)

// EmbeddedOptions is what an Embedded needs. Zero values mean their defaults.
type EmbeddedOptions struct {
	Clock          func() time.Time
	CommitDeadline time.Duration // how old a segment may be when it is committed, and how long a commit is remembered; 5 minutes
	Retain         int           // entries that the commit stream keeps at most; 16384
	RetainBytes    int           // of memory that they take, about; DefaultRetainBytes
}

func (o EmbeddedOptions) withDefaults() EmbeddedOptions {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.CommitDeadline == 0 {
		o.CommitDeadline = DefaultCommitDeadline
	}
	if o.Retain == 0 {
		o.Retain = 16 << 10
	}
	if o.RetainBytes == 0 {
		o.RetainBytes = DefaultRetainBytes
	}
	return o
}

// Embedded is the coordinator in memory, for one process and as the model of every other. It holds two things: a State of everything
// that was decided, confirmed or not, from which it decides; and the commit stream, through which everybody learns.
type Embedded struct {
	opts EmbeddedOptions

	mu         sync.Mutex
	generation Generation
	decided    *State // without spans; nil until opened
	stream     stream
	pending    pending

	// usable says how many partitions of each topic commits may use: as many as are confirmed. A commit into a topic whose creation is still on
	// its way to the journal might survive it.
	usable   map[segments.TopicID]int32
	settling map[string]uint64 // names of topics whose deletion is not confirmed yet, and so not free: by number of the fact

	commits   rememberedIDs[*recentCommit]
	forgotten []int64 // seconds of segments whose commits are forgotten, whatever the clock says now
	changes   rememberedIDs[Entry]

	leases leases
	nodes  nodes
	swept  time.Time // when silent producers were looked for
}

var _ Coordinator = (*Embedded)(nil)

// NewEmbedded returns a coordinator that holds nothing: somebody has to Recover and Open.
func NewEmbedded(opts EmbeddedOptions) *Embedded {
	opts = opts.withDefaults()
	return &Embedded{opts: opts, stream: newStream(opts.Retain, opts.RetainBytes)}
}

// Exclusive says that this coordinator serves its own process alone: see Node.
func (e *Embedded) Exclusive() bool { return true }

// check says whether in is the incarnation that is open here. The caller holds the mutex.
func (e *Embedded) check(in Incarnation) error {
	switch {
	case e.decided == nil:
		return ErrNotOpen
	case e.decided.incarnation != in:
		return ErrIncarnation
	}
	return nil
}

// Generation implements Log.
func (e *Embedded) Generation(context.Context) (Generation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.decided == nil {
		return Generation{}, ErrNotOpen
	}
	return e.generation, nil
}

// Open implements Log.
func (e *Embedded) Open(_ context.Context, state *State) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.decided != nil && e.decided.incarnation >= state.incarnation {
		return ErrIncarnation
	}
	g := NewGeneration(state.incarnation)
	if err := state.BeginOpening(g); err != nil {
		return err
	}
	e.generation, e.decided = g, state.clone(true)
	followers := e.stream.followers
	e.stream = newStream(e.opts.Retain, e.opts.RetainBytes)
	e.stream.followers = followers
	e.pending = newPending()
	e.usable = map[segments.TopicID]int32{}
	e.settling = map[string]uint64{}
	for id, t := range state.topics {
		if !t.Deleted {
			e.usable[id] = t.Partitions
		}
	}
	e.commits, e.changes = rememberedIDs[*recentCommit]{}, rememberedIDs[Entry]{}
	since := e.opts.Clock().Add(-e.opts.CommitDeadline).Truncate(time.Second) // each second whole, or not at all
	e.forgotten = slices.DeleteFunc(state.CommitSeconds(), func(second int64) bool { return second >= since.Unix() })
	for id, spans := range state.Young(since) {
		e.commits.remember(id, id.Time().Add(e.opts.CommitDeadline), newRecentCommit(spans))
	}
	e.leases, e.nodes = leases{incarnation: state.incarnation}, nodes{}
	e.stream.wake() // followers of the incarnation before
	return nil
}

// Settled implements Log.
func (e *Embedded) Settled(_ context.Context, in Incarnation) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return 0, err
	}
	return e.unconfirmed() - 1, nil
}

// Latest implements Log.
func (e *Embedded) Latest(_ context.Context, in Incarnation) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return 0, err
	}
	return e.stream.last(), nil
}

// unconfirmed is the number of the oldest fact that awaits its confirmation, or the next number if there is none.
func (e *Embedded) unconfirmed() uint64 {
	if seq, any := e.pending.oldest(); any {
		return seq
	}
	return e.stream.last() + 1
}

// decide makes a fact of what was decided: everybody learns of it, and it awaits its confirmation.
func (e *Embedded) decide(f *Fact) Entry {
	entry := e.stream.append(Entry{Fact: f}, e.unconfirmed())
	e.pending.add(entry.Seq, f)
	return entry
}

// Confirm implements Log.
func (e *Embedded) Confirm(_ context.Context, in Incarnation, seqs []uint64) error {
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
		if t := f.Topic; t != nil && t.Deleted {
			delete(e.usable, t.ID)
			if e.settling[t.Name] == seq {
				delete(e.settling, t.Name)
			}
		} else if t != nil && !e.decided.topics[t.ID].Deleted {
			e.usable[t.ID] = max(e.usable[t.ID], t.Partitions)
		}
	}
	if len(confirmed) > 0 {
		e.stream.append(Entry{Confirmed: confirmed}, e.unconfirmed())
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

// forgetCommits forgets the commits that have had their time, but for the seconds of their segments.
func (e *Embedded) forgetCommits(now time.Time) {
	for _, id := range e.commits.expire(now) {
		if second := id.Time().Unix(); !slices.Contains(e.forgotten, second) {
			e.forgotten = append(e.forgotten, second)
		}
	}
	e.forgotten = e.forgotten[max(0, len(e.forgotten)-MaxCommitSeconds):]
}

// highWatermark is the end of a partition's confirmed prefix; false if there is no such partition.
func (e *Embedded) highWatermark(at segments.Partition) (int64, bool) {
	t := e.decided.topics[at.Topic]
	if t == nil || t.Deleted || at.Index < 0 || at.Index >= e.usable[at.Topic] {
		return 0, false
	}
	if p := e.pending.prefixes[at]; p != nil {
		return p.end, true
	}
	if p := e.decided.partitions[at]; p != nil {
		return p.end, true
	}
	return 0, true
}
