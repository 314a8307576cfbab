package coordinator

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"firn.dev/segments"
)

// deciding is what a coordinator needs to know of transactional ids beside a State, by id.
type deciding map[string]*decidingID

// decidingID is where the transaction of an id is open; or, when it has ended, what has to be
// confirmed before it is complete.
type decidingID struct {
	// touched has the newest offset of the transaction in each partition: of a record, or of the
	// marker. Partitions of topics that are deleted stay until that is confirmed.
	touched map[segments.Partition]int64
	ended   bool
	// awaited is the version of a fence or an ending that is not confirmed yet; 0: none is. A producer
	// cannot know of it, and what it has opened must not outlive it.
	awaited uint64
}

// Marks are the high watermarks, as a coordinator has them: false for a partition that commits may
// not use.
type Marks func(segments.Partition) (end int64, usable bool)

// decide goes on from what a coordinator knew before, or begins with a state all of which is
// confirmed.
func (t *transactions) decide(s *State, before deciding) {
	t.deciding = deciding{}
	if before != nil {
		for id, d := range before {
			t.deciding[id] = &decidingID{maps.Clone(d.touched), d.ended, d.awaited}
		}
		return
	}
	for at, p := range s.partitions {
		if p.txns == nil {
			continue
		}
		for producer, open := range p.txns.open {
			if id, known := t.producers[producer]; known {
				t.of(id).touched[at] = open.last
			}
		}
	}
}

func (t *transactions) of(id string) *decidingID {
	d := t.deciding[id]
	if d == nil {
		d = &decidingID{touched: map[segments.Partition]int64{}}
		t.deciding[id] = d
	}
	return d
}

// complete says whether the last fence and ending of an id are: in the journal, and all of the
// transaction that has ended below the high watermarks.
func (t *transactions) complete(id string, marks Marks) bool {
	d := t.deciding[id]
	if d == nil || d.awaited == 0 && !d.ended {
		return true
	}
	if d.awaited > 0 {
		return false
	}
	for at, offset := range d.touched {
		if end, usable := marks(at); !usable || end <= offset {
			return false
		}
	}
	delete(t.deciding, id)
	return true
}

// open are the partitions in which the transaction of an id is open.
func (t *transactions) open(id string) map[segments.Partition]int64 {
	if d := t.deciding[id]; d != nil && !d.ended {
		return d.touched
	}
	return nil
}

// ConfirmCommit says that the fact of a commit is confirmed: so are its endings.
func (s *State) ConfirmCommit(c *Commit) {
	for i := range c.Endings {
		s.ConfirmID(&c.Endings[i].TransactionalID)
	}
}

// ConfirmID says that a fact of a transactional id is confirmed.
func (s *State) ConfirmID(t *TransactionalID) {
	if d := s.transactions.deciding[t.ID]; d != nil && d.awaited == t.Version {
		d.awaited = 0
	}
}

// ConfirmDeletion says that the deletion of a topic is confirmed: what is open in it is done.
func (s *State) ConfirmDeletion(topic segments.TopicID) {
	for _, d := range s.transactions.deciding {
		maps.DeleteFunc(d.touched, func(at segments.Partition, _ int64) bool { return at.Topic == topic })
	}
}

// DecidedID returns what is decided of a transactional id.
func (s *State) DecidedID(id string, marks Marks) (DecidedID, error) {
	t := s.transactions.ids[id]
	if t == nil {
		return DecidedID{}, fmt.Errorf("%w: %q", ErrTransactionalID, id)
	}
	return DecidedID{*t, sortedPartitions(s.transactions.open(id)), s.transactions.complete(id, marks)}, nil
}

// DecideID decides a change of a transactional id: Fence, Add, Stage or Forget. The caller applies
// the fact.
func (s *State) DecideID(c *Change, marks Marks, millis int64) (*TransactionalID, error) {
	id := c.TransactionalID()
	if !s.transactions.complete(id, marks) {
		return nil, fmt.Errorf("%w: %q", ErrConcurrentTransactions, id)
	}
	next, err := DecideID(s.transactions.ids[id], c, len(s.transactions.open(id)) > 0, millis)
	if err != nil {
		return nil, err
	}
	next.Version, next.Time = s.transactions.version+1, millis
	if c.Fence != nil {
		s.transactions.of(id).awaited = next.Version
	}
	return next, nil
}

// endings decides the endings of a commit, before its batches. Those that are decided have a marker
// to come in each partition in which their transactions are open.
func (d *decision) endings() {
	if len(d.req.Endings) == 0 {
		return
	}
	d.answers.Endings = make([]error, len(d.req.Endings))
	d.ending = make([]map[segments.Partition]int64, len(d.req.Endings))
	for i := range d.req.Endings {
		switch err := d.end(i); {
		case errors.Is(err, ErrTransactionEnded):
		default:
			d.answers.Endings[i] = err
		}
	}
}

func (d *decision) end(i int) error {
	e, txns := &d.req.Endings[i], &d.state.transactions
	ended, err := DecideEnding(txns.ids[e.ID], e, d.state.incarnation)
	if err != nil {
		return err
	}
	if !txns.complete(e.ID, d.marks) {
		return fmt.Errorf("%w: %q", ErrConcurrentTransactions, e.ID)
	}
	open, brought := txns.open(e.ID), d.brought(i)
	for at, offset := range open {
		end, usable := d.marks(at)
		switch {
		case !usable:
			return fmt.Errorf("%w: the deletion of %s is not confirmed yet", ErrConcurrentTransactions, at)
		case e.Result == Committed && end <= offset:
			return fmt.Errorf("%w: a record of the transaction in %s is not confirmed yet", ErrConcurrentTransactions, at)
		case !brought[at]:
			return fmt.Errorf("%w: the transaction of %q is open in %s, for which there is no marker", ErrBuildAnew, e.ID, at)
		}
	}
	ended.Version, ended.Time = txns.version+1, d.now
	d.state.applyID(&ended.TransactionalID)
	d.ended = append(d.ended, *ended)
	d.ending[i] = maps.Clone(open)
	now := txns.of(e.ID)
	now.ended, now.awaited = true, ended.Version
	return nil
}

// brought are the partitions for which a commit brings markers of an ending that were not answered
// before.
func (d *decision) brought(ending int) map[segments.Partition]bool {
	brought := map[segments.Partition]bool{}
	for i := range d.req.Runs {
		run := &d.req.Runs[i]
		position := run.Position
		for j := range run.Batches {
			if run.Batches[j].Ending == ending+1 && d.known.answer(position) == nil {
				brought[run.Partition] = true
			}
			position += int64(run.Batches[j].Length)
		}
	}
	return brought
}

// mark gives a marker an offset, if its ending was decided now, and is awaited there.
func (d *decision) mark(run *CommitRun, b *CommitBatch, p *partition, position int64) BatchAnswer {
	e := &d.req.Endings[b.Ending-1]
	if _, open := d.ending[b.Ending-1][run.Partition]; !open || p == nil {
		return BatchAnswer{BaseOffset: -1, Err: ErrNotOpenThere}
	}
	delete(d.ending[b.Ending-1], run.Partition)
	base := p.end
	d.spans = append(d.spans, CommitSpan{Partition: run.Partition, Marker: &Marker{b.ProducerID, e.Ordinal, e.Result},
		Span: Span{Segment: d.req.Segment, Base: base, Last: base, Position: position, Length: int64(b.Length),
			MaxTimestamp: b.MaxTimestamp}})
	_ = d.state.applySpan(&d.spans[len(d.spans)-1]) // continues the prefix, so it cannot fail
	d.state.transactions.of(e.ID).touched[run.Partition] = base
	return BatchAnswer{BaseOffset: base}
}

// producer refuses a batch whose producer is not the present one of a transactional id, if it is
// one of such or the batch is transactional. It returns the id; nil if it has none.
func (d *decision) producer(b *CommitBatch) (*TransactionalID, error) {
	id, transactional := d.state.transactions.producers[b.ProducerID]
	switch {
	case !transactional && b.Protocol == NotTransactional:
		return nil, nil
	case !transactional:
		return nil, ErrTransactionalID
	case b.Protocol == NotTransactional:
		return nil, ErrTransactionState
	}
	t := d.state.transactions.ids[id]
	if b.ProducerEpoch != t.Epoch {
		return nil, ErrProducerEpoch
	}
	return t, nil
}

// transaction refuses a batch that cannot be part of its id's transaction now.
func (d *decision) transaction(t *TransactionalID, at segments.Partition, b *CommitBatch) error {
	txns := &d.state.transactions
	if t.Aborting || !txns.complete(t.ID, d.marks) {
		return ErrConcurrentTransactions
	}
	if b.Protocol == OldTransactional {
		if _, added := slices.BinarySearchFunc(t.Added, at, comparePartitions); !added {
			return ErrTransactionState
		}
	}
	if open := txns.open(t.ID); len(open) >= MaxTransactionPartitions {
		if _, there := open[at]; !there {
			return fmt.Errorf("%w: it is open in %d partitions, at most %d are allowed", ErrTransactionTooLarge, len(open),
				MaxTransactionPartitions)
		}
	}
	return nil
}
