package redis

import (
	"context"
	"fmt"
	"time"

	"firn/coordinator"
)

// Commit implements coordinator.Log. A segment that is new takes one call; one that Redis knows takes one as well, if it knows all of it; and one of
// which a recovery kept a part takes a second, in which that part is left out.
func (c *Coordinator) Commit(ctx context.Context, in coordinator.Incarnation, req coordinator.CommitRequest) (coordinator.CommitAnswer, error) {
	if err := req.Validate(); err != nil {
		return coordinator.CommitAnswer{}, err
	}
	g, err := c.generation(ctx, in)
	if err != nil {
		return coordinator.CommitAnswer{}, err
	}
	a := commitAttempt{c: c, g: g, in: in, req: &req}
	for {
		answered, err := a.try(ctx)
		if err != nil {
			return coordinator.CommitAnswer{}, err
		}
		if answered {
			return a.answer()
		}
	}
}

// commitAttempt is one Commit on its way.
type commitAttempt struct {
	c   *Coordinator
	g   generation
	in  coordinator.Incarnation
	req *coordinator.CommitRequest

	known   []byte // what Redis is known to remember of the segment
	prior   *remembered
	seq     uint64 // of the fact that was decided now; 0 if none was
	pending bool   // the newest fact of prior awaits its confirmation
	starts  []byte // log start offset of each run's partition
}

// try calls Redis once, and reports whether every batch has its answer.
func (a *commitAttempt) try(ctx context.Context) (bool, error) {
	request := encodeRequest(a.req, a.prior)
	g, id := a.g, a.req.Segment
	keys := []string{g.current(), g.counters(), g.usable(), g.ends(), g.starts(), g.commits(), g.commitTimes(), g.stream(), g.pending(), g.order()}
	for _, field := range request.idempotent {
		keys = append(keys, g.producers(field))
	}
	for _, at := range request.keyed {
		keys = append(keys, g.keySlots(at)...)
	}
	for _, topic := range request.keyedTopics() {
		keys = append(keys, g.requestSlots(topic)...)
	}
	answer, err := a.c.run(ctx, commitScript, keys, g.name, id[:], id.Time().UnixMilli(), a.c.opts.CommitDeadline.Milliseconds(),
		a.known, request.b, a.c.opts.MaxProducers, a.c.opts.ProducerExpiration.Milliseconds(), request.partitions,
		len(request.idempotent), a.c.opts.KeyExpiration.Milliseconds(), len(request.keyed))
	if err != nil {
		return false, err
	}
	r := newReply(answer)
	switch kind := r.string(); kind {
	case "old":
		return false, fmt.Errorf("%w: segment %s is %s old, allowed is %s", coordinator.ErrTooOld, id,
			time.Duration(r.int())*time.Millisecond, a.c.opts.CommitDeadline)
	case "known":
		return a.remember(r)
	case "decided":
		return true, a.decided(r, request.b)
	default:
		return false, fmt.Errorf("redis, commit: answer %q: %w", kind, r.err)
	}
}

// remember takes in what Redis remembers of the segment.
func (a *commitAttempt) remember(r *reply) (covered bool, err error) {
	a.known, a.starts, a.pending = []byte(r.string()), []byte(r.string()), r.int() == 1
	if r.err != nil {
		return false, r.err
	}
	if a.prior, err = decodeRemembered(a.req.Segment, a.known); err != nil {
		return false, err
	}
	return a.prior.covers(a.req), nil
}

// decided takes in what was decided now.
func (a *commitAttempt) decided(r *reply, request []byte) error {
	seq, now, decisions := r.int(), r.int(), r.string()
	a.starts, a.pending = []byte(r.string()), r.int() == 1
	if r.err != nil {
		return r.err
	}
	if a.prior == nil {
		a.prior = &remembered{}
	}
	a.seq = uint64(seq)
	if a.seq != 0 {
		a.prior.seq, a.pending = a.seq, true
	}
	return a.prior.add(a.req.Segment, appendDecided(nil, now, request, decisions))
}

// answer answers every batch from what is remembered by now.
func (a *commitAttempt) answer() (coordinator.CommitAnswer, error) {
	starts := reader{rest: a.starts}
	answer := coordinator.CommitAnswer{Runs: make([][]coordinator.BatchAnswer, len(a.req.Runs))}
	for i := range a.req.Runs {
		answer.Runs[i] = a.answerRun(&a.req.Runs[i], starts.int64())
	}
	if a.pending && a.prior.seq != 0 {
		answer.Entry = coordinator.Entry{Seq: a.prior.seq, Fact: &coordinator.Fact{Incarnation: a.in,
			Commit: &coordinator.Commit{Segment: a.req.Segment, Spans: a.prior.newest}}}
	}
	return answer, starts.err
}

func (a *commitAttempt) answerRun(run *coordinator.CommitRun, logStart int64) []coordinator.BatchAnswer {
	answers := make([]coordinator.BatchAnswer, len(run.Batches))
	position, given := run.Position, int64(0) // offsets of the span that were given to batches already
	for i := range run.Batches {
		known := a.prior.answer(run.Partition, position)
		if known == nil {
			continue // cannot be: everything is answered by now
		}
		answers[i] = coordinator.BatchAnswer{BaseOffset: known.base, Err: known.err}
		if known.err == nil {
			if position == known.position {
				given = 0
			}
			answers[i].BaseOffset += given
			given += int64(run.Batches[i].Records)
		}
		answers[i].LogStartOffset = logStart
		position += int64(run.Batches[i].Length)
	}
	return answers
}

// How much one call of forgetProducers looks at. Each node calls it every few seconds.
const (
	forgetPartitions = 16
	forgetOfEach     = 32
)

// forgetProducers makes room: it draws some partitions, and forgets their producers that have been silent for too long. Commits take
// no notice of those, whether they are still there or not.
func (c *Coordinator) forgetProducers(ctx context.Context, g generation) (int64, error) {
	fields, err := c.client.HRandField(ctx, g.ends(), forgetPartitions).Result()
	if err != nil || len(fields) == 0 {
		return 0, err
	}
	keys := []string{g.current()}
	for _, field := range fields {
		if len(field) == partitionLen {
			keys = append(keys, g.producers(field))
		}
	}
	answer, err := c.run(ctx, forgetScript, keys, g.name, c.opts.ProducerExpiration.Milliseconds(), forgetOfEach)
	if err != nil {
		return 0, err
	}
	r := newReply([]any{answer})
	return r.int(), r.err
}
