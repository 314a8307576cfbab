package coordinator

import (
	"context"
	"maps"
	"sync"
	"time"

	"firn/segments"
)

// EmbeddedOptions is what an Embedded needs. Zero values mean their defaults.
type EmbeddedOptions struct {
	Clock          func() time.Time
	CommitDeadline time.Duration // how old a segment may be when it is committed, and how long a commit is remembered; 5 minutes
	Retain         int           // entries that the commit stream keeps; 16384
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

	commits rememberedIDs[*recentCommit]
	changes rememberedIDs[Entry]

	leases leases
	nodes  nodes
	swept  time.Time // when silent producers were looked for
}

var _ Coordinator = (*Embedded)(nil)

// NewEmbedded returns a coordinator that holds nothing: somebody has to Recover and Open.
func NewEmbedded(opts EmbeddedOptions) *Embedded {
	opts = opts.withDefaults()
	return &Embedded{opts: opts, stream: newStream(opts.Retain)}
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
	e.stream = newStream(e.opts.Retain)
	e.stream.followers = followers
	e.pending = pending{}
	e.usable = map[segments.TopicID]int32{}
	e.settling = map[string]uint64{}
	for id, t := range state.topics {
		if !t.Deleted {
			e.usable[id] = t.Partitions
		}
	}
	e.commits, e.changes = rememberedIDs[*recentCommit]{}, rememberedIDs[Entry]{}
	for id, spans := range state.Young(e.opts.Clock().Add(-e.opts.CommitDeadline)) {
		e.commits.remember(id, id.Time().Add(e.opts.CommitDeadline), &recentCommit{spans: spans})
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

// pending are the facts that await their confirmation, by number.
type pending struct {
	facts map[uint64]*Fact
	order []uint64 // ascending; confirmed ones go when they reach the front
}

func (p *pending) add(seq uint64, f *Fact) {
	if p.facts == nil {
		p.facts = map[uint64]*Fact{}
	}
	p.facts[seq] = f
	p.order = append(p.order, seq)
}

// take removes and returns a fact; nil if it is not pending.
func (p *pending) take(seq uint64) *Fact {
	f := p.facts[seq]
	delete(p.facts, seq)
	for len(p.order) > 0 && p.facts[p.order[0]] == nil {
		p.order = p.order[1:]
	}
	return f
}

func (p *pending) oldest() (seq uint64, any bool) {
	if len(p.order) == 0 {
		return 0, false
	}
	return p.order[0], true
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

// expire forgets what has had its time. Entries come nearly in order of their times; one that lasts longer keeps those behind it a little longer.
func (m *rememberedIDs[V]) expire(now time.Time) {
	for len(m.queue) > 0 && m.queue[0].until.Before(now) {
		delete(m.byID, m.queue[0].id)
		m.queue = m.queue[1:]
	}
}

// highWatermark is the end of a partition's confirmed prefix; false if there is no such partition. It is asked for rarely.
func (e *Embedded) highWatermark(at segments.Partition) (int64, bool) {
	t := e.decided.topics[at.Topic]
	if t == nil || t.Deleted || at.Index < 0 || at.Index >= e.usable[at.Topic] {
		return 0, false
	}
	end := int64(0)
	if p := e.decided.partitions[at]; p != nil {
		end = p.end
	}
	for f := range maps.Values(e.pending.facts) {
		if f.Commit == nil {
			continue
		}
		for i := range f.Commit.Spans {
			if s := &f.Commit.Spans[i]; s.Partition == at {
				end = min(end, s.Span.Base)
			}
		}
	}
	return end, true
}
