package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// What a transactional id becomes is worked out here, by the functions that package embedded uses,
// from the id as Redis has it. It takes effect only if that is still the same.

// idState is what is decided of an id.
type idState struct {
	fact     []byte // as Redis has it; empty: none
	id       *coordinator.TransactionalID
	millis   int64
	complete bool
	open     []segments.Partition
	held     bool // the lease
}

// lookID looks at an id, which has a producer id as far as the caller knows: if it has another it
// takes two calls, because what is open lies under it.
func (c *Coordinator) lookID(ctx context.Context, g generation, id string, producer int64, lease string,
	epoch uint64) (idState, error) {
	for {
		answer, err := c.run(ctx, lookIDScript, []string{g.current(), g.ids(), g.transaction(producer), g.usable(), g.ends(),
			g.pending(), g.settling(), g.leases()}, g.name, "", id, lease, uint32(epoch))
		if err != nil {
			return idState{}, err
		}
		r := newReply(answer)
		s := idState{fact: []byte(r.string()), millis: r.int(), complete: r.int() == 1}
		open := reader{rest: []byte(r.string())}
		s.held = r.int() == 1
		for len(open.rest) > 0 {
			s.open = append(s.open, open.partition())
		}
		if err := errors.Join(r.err, open.err); err != nil {
			return idState{}, err
		}
		if len(s.fact) > 0 {
			f, err := coordinator.DecodeFact(s.fact)
			if err != nil || f.TransactionalID == nil {
				return idState{}, fmt.Errorf("redis: transactional id %q: %w", id, err)
			}
			s.id = f.TransactionalID
		}
		if s.id == nil || s.id.Gone {
			s.complete, s.open = true, nil
			return s, nil
		}
		if s.id.ProducerID == producer {
			return s, nil
		}
		producer = s.id.ProducerID
	}
}

// TransactionalID implements coordinator.Lookups.
func (c *Coordinator) TransactionalID(ctx context.Context, in coordinator.Incarnation,
	id string) (coordinator.DecidedID, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return coordinator.DecidedID{}, err
	}
	s, err := c.lookID(ctx, g, id, 0, "", 0)
	if err == nil && s.id == nil {
		err = fmt.Errorf("%w: %q", coordinator.ErrTransactionalID, id)
	}
	if err != nil {
		return coordinator.DecidedID{}, err
	}
	return coordinator.DecidedID{TransactionalID: *s.id, Open: s.open, Complete: s.complete}, nil
}

// changeID decides a change of a transactional id.
func (p *proposal) changeID(ctx context.Context, c *coordinator.Change) (coordinator.Entry, error) {
	lease, epoch := "", uint64(0)
	var lost error
	if s := c.Stage; s != nil {
		lease, epoch = s.Lease, s.Epoch
		lost = fmt.Errorf("%w: %s, epoch %d", coordinator.ErrLeaseLost, lease, epoch)
		if epoch>>32 != uint64(p.in) {
			return coordinator.Entry{}, lost
		}
	}
	for {
		now, err := p.c.lookID(ctx, p.g, c.TransactionalID(), 0, lease, epoch)
		switch {
		case err != nil:
			return coordinator.Entry{}, err
		case lost != nil && !now.held:
			return coordinator.Entry{}, lost
		case !now.complete:
			return coordinator.Entry{}, fmt.Errorf("%w: %q", coordinator.ErrConcurrentTransactions, c.TransactionalID())
		}
		next, err := coordinator.DecideID(now.id, c, len(now.open) > 0, now.millis)
		if err != nil {
			return coordinator.Entry{}, err
		}
		entry, what, err := p.decideID(ctx, c, &now, next, lease, epoch)
		switch {
		case err != nil:
			return coordinator.Entry{}, err
		case what == "lease":
			return coordinator.Entry{}, lost
		case what == "incomplete":
			return coordinator.Entry{}, fmt.Errorf("%w: %q", coordinator.ErrConcurrentTransactions, c.TransactionalID())
		case what == "":
			return entry, nil
		}
	}
}

// decideID calls txn_change.lua. what says why nothing was decided.
func (p *proposal) decideID(ctx context.Context, c *coordinator.Change, now *idState, next *coordinator.TransactionalID,
	lease string, epoch uint64) (entry coordinator.Entry, what string, err error) {
	g, before := p.g, next.ProducerID
	if now.id != nil && !now.id.Gone {
		before = now.id.ProducerID
	}
	kind, open := "change", 0
	switch {
	case c.Fence != nil:
		kind = "fence"
	case c.Forget != nil:
		kind = "forget"
	}
	if len(now.open) > 0 {
		open = 1
	}
	head, rest := p.parts(next)
	answer, err := p.c.run(ctx, changeIDScript, []string{g.current(), g.counters(), g.ids(), g.writers(),
		g.transaction(before),
		g.transaction(next.ProducerID), g.usable(), g.ends(), g.stream(), g.pending(), g.order(), g.settling(), g.leases()},
		g.name, lease, uint32(epoch), next.ID, now.fact, open, head, rest, kind, producerField(before),
		producerField(next.ProducerID), appendWriter(nil, next), packedPartitions(next.Added), next.StagedVersion())
	if err != nil {
		return coordinator.Entry{}, "", err
	}
	r := newReply(answer)
	first := r.string()
	if r.err != nil || len(r.rest) == 0 {
		return coordinator.Entry{}, first, r.err
	}
	var seq uint64
	if _, err := fmt.Sscan(first, &seq); err != nil {
		return coordinator.Entry{}, "", fmt.Errorf("redis, txn_change: entry %q: %w", first, err)
	}
	fact, err := coordinator.DecodeFact([]byte(r.string()))
	return coordinator.Entry{Seq: seq, Fact: fact}, "", errors.Join(r.err, err)
}

// parts are the fact of an id up to its version, and behind its time: Redis writes what is between.
func (p *proposal) parts(t *coordinator.TransactionalID) (head, rest []byte) {
	fact := coordinator.AppendFact(nil, &coordinator.Fact{Incarnation: p.in, TransactionalID: t})
	n := len(binary.AppendUvarint([]byte{0, 0}, uint64(p.in)))
	return fact[:n], fact[n+16:]
}

// appendWriter encodes what commit.lua compares with a batch: epoch, ordinal, whether it is to be
// aborted.
func appendWriter(b []byte, t *coordinator.TransactionalID) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(t.Epoch))
	b = binary.BigEndian.AppendUint64(b, t.Ordinal)
	if t.Aborting {
		return append(b, 1)
	}
	return append(b, 0)
}

func packedPartitions(partitions []segments.Partition) []byte {
	b := []byte{}
	for _, at := range partitions {
		b = appendPartition(b, at)
	}
	return b
}

func packedProducers(producers []int64) []byte {
	b := []byte{}
	for _, id := range producers {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	return b
}

// endings are those of a commit on their way.
type endings struct {
	errs    []error // of each; nil if there are none
	numbers []int   // under which each is asked for, from 1; 0: it is not
	before  []int64 // producer ids that they name, and those that come after them
	args    []any
}

// any says whether any is asked for.
func (e *endings) any() bool { return len(e.args) > 0 }

// producers are the producer ids whose transactions the commit has to do with, each once.
func (e *endings) producers(of []int64) []int64 {
	all := slices.Concat(of, e.before)
	slices.Sort(all)
	return slices.Compact(all)
}

// take notes what was decided.
func (e *endings) take(answers string) error {
	for i, number := range e.numbers {
		if number == 0 {
			continue
		}
		if number > len(answers) || answers[number-1] >= codes {
			return fmt.Errorf("redis, commit: no code for ending %d in %q", number, answers)
		}
		e.errs[i] = codeErrors[answers[number-1]]
	}
	return nil
}

// lookEndings works out what the endings of a commit would do.
func (a *commitAttempt) lookEndings(ctx context.Context) error {
	n := len(a.req.Endings)
	if n == 0 {
		return nil
	}
	if err := a.lookIDs(ctx); err != nil {
		return err
	}
	a.endings = endings{errs: make([]error, n), numbers: make([]int, n)}
	asked := 0
	for i := range a.req.Endings {
		e, now := &a.req.Endings[i], &a.looked[i]
		ended, err := coordinator.DecideEnding(now.id, e, a.in)
		switch {
		case errors.Is(err, coordinator.ErrTransactionEnded):
			continue
		case err != nil:
			a.endings.errs[i] = err
			continue
		}
		asked++
		a.endings.numbers[i] = asked
		a.endings.before = append(a.endings.before, e.ProducerID, ended.ProducerID)
		p := proposal{in: a.in}
		head, rest := p.parts(&ended.TransactionalID)
		offsets := coordinator.AppendStaged(nil, ended.Offsets)
		result := "a"
		if e.Result == coordinator.Committed {
			result = "c"
		}
		a.endings.args = append(a.endings.args, e.ID, now.fact, head, rest, offsets, result, producerField(e.ProducerID),
			producerField(ended.ProducerID), appendWriter(nil, &ended.TransactionalID))
	}
	return nil
}

// lookIDs looks at the ids of endings: at all of them first, several at once, and then at those
// that have changed since. One after the other, and all again whenever one had changed, a commit
// with many endings never came to its end on a busy cluster.
func (a *commitAttempt) lookIDs(ctx context.Context) error {
	const atOnce = 8
	if a.looked == nil {
		a.looked = make([]idState, len(a.req.Endings))
		for i := range a.looked {
			a.stale = append(a.stale, i)
		}
	}
	looking, ctx := errgroup.WithContext(ctx)
	looking.SetLimit(atOnce)
	for _, i := range a.stale {
		looking.Go(func() (err error) {
			e := &a.req.Endings[i]
			a.looked[i], err = a.c.lookID(ctx, a.g, e.ID, e.ProducerID, "", 0)
			return err
		})
	}
	a.stale = nil
	return looking.Wait()
}

// changed notes that the id of an ending, by its number in the call, has changed since it was
// looked at.
func (a *commitAttempt) changed(number int64) error {
	i := slices.Index(a.endings.numbers, int(number))
	if number < 1 || i < 0 {
		return fmt.Errorf("redis, commit: there is no ending %d", number)
	}
	a.stale = []int{i}
	return nil
}

// removeTransactions removes what there is of producer ids of a generation.
func (c *Coordinator) removeTransactions(ctx context.Context, g generation) error {
	const atOnce = 500
	for cursor := uint64(0); ; {
		found, next, err := c.client.HScan(ctx, g.writers(), cursor, "", atOnce).Result()
		if err != nil {
			return err
		}
		var keys []string
		for i := 0; i < len(found); i += 2 {
			if len(found[i]) == 8 {
				keys = append(keys, g.transaction(int64(binary.BigEndian.Uint64([]byte(found[i])))))
			}
		}
		if len(keys) > 0 {
			if err := c.client.Unlink(ctx, keys...).Err(); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
