package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"firn.dev/retry"
	"firn.dev/segments"
)

// journal writes a life's chain: one object at a time; all facts that wait meanwhile
// share the next.
type journal struct {
	chain   *chain
	confirm func(ctx context.Context, seqs []uint64) error
	logger  *slog.Logger
	metrics *metrics
	probe   time.Duration // how long to be idle before looking whether the chain was sealed; 0: never

	turn chan struct{} // of one element, which is in it while somebody makes the next object: see Life.Carry

	mu      sync.Mutex
	queue   []*settlement
	carried *settlement // whose segment the next object carries; its turn is that of the object
	wake    chan struct{}
}

// settlement is one Settle on its way.
type settlement struct {
	seqs  []uint64
	facts [][]byte
	bytes int
	done  chan error // of one element

	carries segments.ID // the segment that comes with the facts; zero: none
	segment []byte
}

// newSettlement makes a settlement of the facts of the entries. All were decided in the incarnation
// in which they are to be settled.
func newSettlement(in Incarnation, entries []Entry) (*settlement, error) {
	s := &settlement{done: make(chan error, 1)}
	for _, e := range entries {
		if e.Fact == nil || e.Seq == 0 {
			continue
		}
		if e.Fact.Incarnation != in {
			return nil, fmt.Errorf("%w: the fact was decided in %d, this is %d", ErrIncarnation, e.Fact.Incarnation, in)
		}
		b := AppendFact(nil, e.Fact)
		s.seqs, s.facts, s.bytes = append(s.seqs, e.Seq), append(s.facts, b), s.bytes+len(b)
	}
	return s, nil
}

const (
	objectBytes = 4 << 20          // a journal object takes no further settlement beyond this
	putTimeout  = 20 * time.Second // of one try; the next puts the same bytes under the same key
)

// journalBackoff is between those tries.
var journalBackoff = retry.Backoff{First: 20 * time.Millisecond, Most: 500 * time.Millisecond}

func (j *journal) add(s *settlement) {
	j.mu.Lock()
	j.queue = append(j.queue, s)
	j.mu.Unlock()
	j.poke()
}

// addCarried hands a settlement over whose segment comes with it, and with it the turn.
func (j *journal) addCarried(s *settlement) {
	j.mu.Lock()
	j.carried = s
	j.mu.Unlock()
	j.poke()
}

// poke has run look again.
func (j *journal) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// take returns what goes into the next object, and takes the turn. It returns nothing while
// somebody else has it, who pokes afterwards.
func (j *journal) take() []*settlement {
	j.mu.Lock()
	defer j.mu.Unlock()
	var taken []*settlement
	if j.carried != nil {
		taken, j.carried = append(taken, j.carried), nil
	} else {
		if len(j.queue) == 0 {
			return nil
		}
		select {
		case j.turn <- struct{}{}:
		default:
			return nil
		}
	}
	n, bytes := 0, 0
	for n < len(j.queue) && (n == 0 || bytes+j.queue[n].bytes <= objectBytes) {
		bytes += j.queue[n].bytes
		n++
	}
	taken = append(taken, j.queue[:n]...)
	j.queue = j.queue[n:]
	return taken
}

// run writes until ctx ends or the life does, and says why. The callers of settlements that it
// leaves unanswered see the life's end.
func (j *journal) run(ctx context.Context) error {
	var idle <-chan time.Time
	if j.probe > 0 {
		ticker := time.NewTicker(j.probe)
		defer ticker.Stop()
		idle = ticker.C
	}
	written := false
	for {
		for taken := j.take(); len(taken) > 0; taken = j.take() {
			if err := j.write(ctx, taken); err != nil {
				return err
			}
			<-j.turn
			written = true
		}
		select {
		case <-j.wake:
		case <-idle:
			if !written {
				if err := j.chain.probe(ctx); errors.Is(err, ErrFenced) {
					return err
				}
			}
			written = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write makes one object of the settlements, confirms their facts and answers.
func (j *journal) write(ctx context.Context, taken []*settlement) error {
	var facts [][]byte
	var seqs []uint64
	for _, s := range taken {
		facts, seqs = append(facts, s.facts...), append(seqs, s.seqs...)
	}
	body := j.chain.carrier(facts, taken[0].carries, taken[0].segment)
	err := j.persist(ctx, "journal put", func(ctx context.Context) error {
		begun := time.Now()
		err := j.chain.put(ctx, body)
		if err == nil {
			j.metrics.journaled(time.Since(begun), len(facts), len(body))
		}
		return err
	})
	if err == nil {
		err = j.persist(ctx, "confirm", func(ctx context.Context) error { return j.confirm(ctx, seqs) })
	}
	if err != nil {
		return err
	}
	for _, s := range taken {
		s.done <- nil
	}
	return nil
}

// persist tries until it works, or the life is over. It logs an outage at its beginning and its
// end, not each try.
func (j *journal) persist(ctx context.Context, what string, try func(context.Context) error) error {
	outage := time.Time{}
	for n := 0; ; n++ {
		attempt, cancel := context.WithTimeout(ctx, putTimeout)
		err := try(attempt)
		cancel()
		switch {
		case err == nil:
			if !outage.IsZero() {
				j.logger.Info(what+" works again", "after", time.Since(outage).Round(time.Millisecond))
			}
			return nil
		case lifeOver(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		j.metrics.retries.Inc()
		if outage.IsZero() {
			outage = time.Now()
			j.logger.Error(what+" fails, trying again", "error", err)
		}
		if err := journalBackoff.Pause(ctx, n); err != nil {
			return err
		}
	}
}
