package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Commit implements coordinator.Log. A new segment takes one call. So does one that Redis knows, if
// it knows all of it. If a recovery kept a part of it, a second call leaves that part out.
func (c *Coordinator) Commit(
	ctx context.Context, in coordinator.Incarnation, req coordinator.CommitRequest,
) (coordinator.CommitAnswer, error) {
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
			return a.answer(), nil
		}
	}
}

// commitAttempt is one Commit on its way.
type commitAttempt struct {
	c   *Coordinator
	g   generation
	in  coordinator.Incarnation
	req *coordinator.CommitRequest

	known  []byte // what Redis is known to remember of the segment
	prior  *remembered
	starts map[segments.Partition]int64 // log start offsets

	endings endings
	looked  []idState // of each ending
	stale   []int     // those that are to be looked at, again
}

// try calls Redis once, and reports whether every batch has its answer.
func (a *commitAttempt) try(ctx context.Context) (bool, error) {
	if err := a.lookEndings(ctx); err != nil {
		return false, err
	}
	request := encodeRequest(a.req, a.prior, a.endings.numbers)
	g, id := a.g, a.req.Segment
	keys := []string{g.current(), g.counters(), g.usable(), g.ends(), g.starts(), g.commits(id), g.stream(),
		g.pending(), g.order(),
		g.ids(), g.writers(), g.settling(), g.leases()}
	for _, field := range request.idempotent {
		keys = append(keys, g.producers(field))
	}
	for _, at := range request.keyed {
		keys = append(keys, g.keySlots(at)...)
	}
	for _, topic := range request.keyedTopics() {
		keys = append(keys, g.requestSlots(topic)...)
	}
	producers := a.endings.producers(request.transactional)
	for _, producer := range producers {
		keys = append(keys, g.transaction(producer))
	}
	args := []any{g.name, id[:], id.Time().UnixMilli(), a.c.opts.CommitDeadline.Milliseconds(),
		a.known, request.b, a.c.opts.MaxProducers, a.c.opts.ProducerExpiration.Milliseconds(), request.partitions,
		len(request.idempotent), a.c.opts.KeyExpiration.Milliseconds(), len(request.keyed), packedProducers(producers),
		coordinator.MaxTransactionPartitions, appendAtomic(nil, a.in, a.req.Atomic)}
	answer, err := a.c.run(ctx, commitScript, keys, append(args, a.endings.args...)...)
	if err != nil {
		return false, err
	}
	r := newReply(answer)
	switch kind := r.string(); kind {
	case "old":
		return false, coordinator.TooOld(id, time.Duration(r.int())*time.Millisecond, a.c.opts.CommitDeadline)
	case "known":
		return a.remember(r, request.partitions)
	case "changed":
		number := r.int()
		return false, errors.Join(r.err, a.changed(number))
	case "decided":
		return true, a.decided(r, request)
	default:
		return false, fmt.Errorf("redis, commit: answer %q: %w", kind, r.err)
	}
}

// remember takes in what Redis remembers of the segment.
func (a *commitAttempt) remember(r *reply, partitions []byte) (covered bool, err error) {
	a.known = []byte(r.string())
	a.logStarts(r, partitions)
	pending := r.string()
	if r.err != nil {
		return false, r.err
	}
	if a.prior, err = decodeRemembered(a.known); err != nil {
		return false, err
	}
	return a.prior.covers(a.req) && !a.endings.any(), a.awaits(pending)
}

// logStarts takes in where the logs of partitions start.
func (a *commitAttempt) logStarts(r *reply, partitions []byte) {
	starts := reader{rest: []byte(r.string())}
	names := reader{rest: partitions}
	a.starts = make(map[segments.Partition]int64, len(partitions)/partitionLen)
	for len(names.rest) > 0 {
		a.starts[names.partition()] = starts.int64()
	}
	if r.err == nil {
		r.err = starts.err
	}
}

// awaits takes in the newest fact of the segment, if it awaits its confirmation.
func (a *commitAttempt) awaits(pending string) error {
	if pending == "" {
		return nil
	}
	fact, err := commitFact(a.in, pending)
	if err == nil {
		a.prior.commit = fact.Commit
	}
	return err
}

// decided takes in what was decided now.
func (a *commitAttempt) decided(r *reply, request *requestEncoder) error {
	seq, now, decisions := r.int(), r.int(), r.string()
	a.logStarts(r, request.partitions)
	pending, codes := r.string(), r.string()
	ended, counting := reader{rest: []byte(r.string())}, reader{rest: []byte(r.string())}
	if r.err != nil {
		return r.err
	}
	if a.prior == nil {
		a.prior = &remembered{}
	}
	commit, answers, err := decodeChunk(a.req.Segment, appendDecided(nil, now, request.b, decisions))
	if err != nil {
		return err
	}
	if len(ended.rest) > 0 {
		commit.Endings = ended.endings(len(ended.rest))
	}
	commit.Atomic = counting.atomic(now)
	if err := cmp.Or(ended.err, counting.err, a.endings.take(codes)); err != nil {
		return err
	}
	a.prior.add(answers)
	if seq == 0 {
		return a.awaits(pending)
	}
	a.prior.seq, a.prior.commit = uint64(seq), commit
	return nil
}

// answer answers every batch from what is remembered by now.
func (a *commitAttempt) answer() coordinator.CommitAnswer {
	answer := coordinator.CommitAnswer{Runs: make([][]coordinator.BatchAnswer, len(a.req.Runs))}
	for i := range a.req.Runs {
		answer.Runs[i] = a.answerRun(&a.req.Runs[i], a.starts[a.req.Runs[i].Partition])
	}
	if a.prior.commit != nil {
		answer.Entry = coordinator.Entry{Seq: a.prior.seq, Fact: &coordinator.Fact{Incarnation: a.in, Commit: a.prior.commit}}
	}
	answer.Endings = a.endings.errs
	return answer
}

func (a *commitAttempt) answerRun(run *coordinator.CommitRun, logStart int64) []coordinator.BatchAnswer {
	answers := make([]coordinator.BatchAnswer, len(run.Batches))
	position, given := run.Position, int64(0) // offsets of the span that were given to batches already
	for i := range run.Batches {
		known := a.prior.answer(position)
		if known == nil {
			continue // cannot be: everything is answered by now
		}
		answers[i] = coordinator.BatchAnswer{BaseOffset: known.offset, LogStartOffset: logStart, Err: codeErrors[known.code]}
		switch known.code {
		case codeAccepted:
			if position == known.position {
				given = 0
			}
			answers[i].BaseOffset += given
			given += int64(run.Batches[i].Records)
		case codeDuplicate:
		default:
			answers[i].BaseOffset = -1
		}
		position += int64(run.Batches[i].Length)
	}
	return answers
}
