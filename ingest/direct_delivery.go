package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"firn.dev/coordinator"
	"firn.dev/retry"
	"firn.dev/segments"
)

// How a Direct writes each batch once, although it may be frozen at any step and thawed at any
// time.
//
// A put, a journal put, a Confirm can be repeated as they are, however late: they do nothing the
// second time, and a journal chain that was sealed meanwhile says so. What matters is Commit. It is
// idempotent by segment id as long as the coordinator takes that id, in whatever incarnation. Past
// the commit deadline it refuses with ErrTooOld, for ever. Then the same batches need a segment
// with a new id, and may get one only if the first was not committed or if committing it again does
// nothing:
//
//   - no Commit of it was ever asked for, or each was refused (an incarnation that is over, an id
//     that is too old): it was not committed;
//   - every batch has an idempotency key or a producer id: the coordinator knows them again by
//     those, for a day;
//   - all the tries were made in the incarnation that still is, and the commit stream reaches back
//     to before the first of them: it says whether the segment was committed, and what it was
//     given. After the refusal nothing can be added to that;
//   - otherwise nobody can know, and the caller gets ErrInDoubt. That takes a freeze of minutes
//     that begins between the request and the answer of one Commit, and a recovery or a very busy
//     cluster besides.

// errAgain says that the segment was refused for its age and its batches may be put under a new id.
var errAgain = errors.New("the segment came too late")

const (
	maxIDs = 8 // that one call uses up: more means a clock that is wrong by minutes

	// keyLife is for how long the coordinator surely knows a key or a producer again; it remembers
	// them for a day.
	keyLife = coordinator.KeyExpiration / 2

	firstLook = time.Millisecond // how long to wait before the second look at a high watermark; then twice as long, up to
	lastLook  = 50 * time.Millisecond
)

// deliver writes the batches and waits until they can be read.
func (d *Direct) deliver(ctx context.Context, batches []Batch) ([]Result, error) {
	if len(batches) == 0 {
		return nil, nil
	}
	for i := range batches {
		if err := batches[i].check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotWritten, err)
		}
	}
	begun, doubt := time.Now(), false
	for n := 0; ; n++ {
		v := delivery{d: d, s: &segment{byPart: map[segments.Partition]int{}, first: time.Now()}}
		for i := range batches {
			v.s.add(&batches[i], nil, int32(i))
		}
		v.s.tried = doubt
		err := v.run(ctx)
		if err == nil {
			return v.results(len(batches)), nil
		}
		doubt = v.s.tried
		late := n+1 == maxIDs || doubt && coordinator.Elapsed(begun, time.Now()) > keyLife
		if !errors.Is(err, errAgain) || late || backoff.Pause(ctx, n) != nil {
			d.metrics.failed.Add(float64(len(batches)))
			return nil, v.s.refusal(err)
		}
		d.opts.Logger.Warn(
			"putting the batches of a segment under a new id",
			"segment",
			v.s.id,
			"sealed",
			v.s.sealed,
			"error",
			err,
		)
	}
}

// delivery is one segment on its way.
type delivery struct {
	d *Direct
	s *segment

	answered coordinator.Incarnation // whose offsets the batches have; 0: none
	entry    coordinator.Entry       // that is to be settled; its number is 0 if none is

	// The tries to commit whose outcome is not known to be a refusal.
	tried     coordinator.Incarnation // in which they were made; 0: there are none
	elsewhere bool                    // some were made in others
	mark      uint64                  // number of the commit stream before the first
}

// run takes the segment through one life of the guest after another.
func (v *delivery) run(ctx context.Context) error {
	if err := v.store(ctx); err != nil {
		return err
	}
	for n := 0; ; n++ {
		life, err := v.d.guest.Life(ctx)
		if err == nil {
			err = v.inLife(ctx, life)
		}
		if !lifeOver(err) || errors.Is(err, ErrInDoubt) || life == nil {
			return err
		}
		v.d.metrics.lives.Inc()
		v.d.opts.Logger.Warn(
			"the direct writer's life is over, going on in the next",
			"segment",
			v.s.id,
			"error",
			err,
		)
		if n > 0 && backoff.Pause(ctx, n) != nil {
			return err
		}
	}
}

// store puts the segment; a life begins meanwhile, if there is none.
func (v *delivery) store(ctx context.Context) error {
	s := v.s
	s.sealed = time.Now()
	s.id = segments.NewID(v.d.opts.Clock())
	s.mark = s.sealed
	if err := s.encode(); err != nil {
		return err
	}
	v.d.metrics.segmentBytes.Observe(float64(s.bytes))
	var running sync.WaitGroup
	defer running.Wait()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		_, err := v.d.guest.Life(ctx)
		return err
	})
	tasks.Go(func() error { return v.d.puts.put(ctx, &running, s) })
	err := tasks.Wait()
	s.lap(v.d.metrics.put)
	return err
}

// inLife takes the segment as far as it gets in one life.
func (v *delivery) inLife(ctx context.Context, life *coordinator.GuestLife) error {
	if v.answered != life.Incarnation() {
		if err := v.commit(ctx, life); err != nil {
			return err
		}
		v.s.lap(v.d.metrics.commit)
	}
	if v.entry.Seq != 0 {
		if err := life.Settle(ctx, v.entry); err != nil {
			return err
		}
		v.entry = coordinator.Entry{}
		v.s.lap(v.d.metrics.journal)
	}
	if v.s.doubtful() {
		if err := untilCurrent(ctx, life); err != nil {
			return err
		}
	}
	if err := v.await(ctx, life); err != nil {
		return err
	}
	v.s.lap(v.d.metrics.visible)
	v.d.metrics.total.Observe(since(v.s.first))
	return nil
}

// commit gets offsets for the batches.
func (v *delivery) commit(ctx context.Context, life *coordinator.GuestLife) error {
	for n := 0; ; n++ {
		mark := life.Seen()
		answer, err := life.Commit(ctx, v.s.request)
		switch {
		case err == nil:
			v.try(life, mark)
			if err := v.s.take(answer); err != nil {
				return err
			}
			v.answered, v.entry = life.Incarnation(), answer.Entry
			return nil
		case lifeOver(err), errors.Is(err, coordinator.ErrMalformed):
			return err
		case errors.Is(err, coordinator.ErrTooOld):
			return v.late(ctx, life, err)
		}
		v.try(life, mark)
		v.d.metrics.commitRetries.Inc()
		if retry.Told(n) {
			v.d.opts.Logger.Warn(
				"committing a segment failed, trying again",
				"segment",
				v.s.id,
				"attempt",
				n+1,
				"error",
				err,
			)
		}
		if backoff.Pause(ctx, n) != nil {
			return fmt.Errorf("%w, after: %w", ctx.Err(), err)
		}
	}
}

// try notes that the segment may have been committed.
func (v *delivery) try(life *coordinator.GuestLife, mark uint64) {
	if v.tried != life.Incarnation() {
		v.elsewhere = v.s.tried
		v.tried, v.mark = life.Incarnation(), mark
	}
	v.s.tried = true
}

// late finds out what became of a segment that is refused for its age.
func (v *delivery) late(ctx context.Context, life *coordinator.GuestLife, refused error) error {
	switch {
	case !v.s.tried:
		return fmt.Errorf("%w: %w", errAgain, refused)
	case v.recognizable():
		return fmt.Errorf("%w: %w", errAgain, refused)
	case v.elsewhere || v.tried != life.Incarnation():
		return fmt.Errorf("%w, and there was a recovery since it was first committed", refused)
	case coordinator.Elapsed(v.s.sealed, time.Now()) < commitDeadline:
		return fmt.Errorf("%w, or this machine's clock is wrong", refused) // then its time may still come
	}
	entries, err := life.Stream(ctx, v.mark, math.MaxUint64)
	if err != nil {
		return fmt.Errorf("%w; looking for what became of it: %w", refused, err)
	}
	for _, e := range entries {
		if e.Fact == nil || e.Fact.Commit == nil || e.Fact.Commit.Segment != v.s.id {
			continue
		}
		v.answered, v.entry = life.Incarnation(), e
		v.s.place(e.Fact.Commit.Spans)
		return nil
	}
	v.s.tried = false
	return fmt.Errorf("%w: %w", errAgain, refused)
}

// recognizable says whether the coordinator knows every batch again.
func (v *delivery) recognizable() bool {
	for i := range v.s.parts {
		if !v.s.parts[i].recognizable() {
			return false
		}
	}
	return true
}

// place gives the batches the offsets that the spans of their segment have. Of batches without
// producer id only those of unknown partitions are in no span.
func (s *segment) place(spans []coordinator.CommitSpan) {
	for p := range s.parts {
		part := &s.parts[p]
		for i := range part.items {
			part.items[i].answer = coordinator.BatchAnswer{
				BaseOffset:     -1,
				LogStartOffset: -1,
				Err:            coordinator.ErrUnknownPartition,
			}
		}
		for _, span := range spans {
			if span.Partition != part.partition {
				continue
			}
			next := span.Span.Base
			for i := range part.items {
				it := &part.items[i]
				if it.position >= span.Span.Position && it.position < span.Span.Position+span.Span.Length {
					it.answer.BaseOffset, it.answer.Err = next, nil
					next += int64(it.commit.Records)
				}
			}
		}
	}
}

// await waits until the high watermarks have passed the batches. Commits of others may lie before
// them, and after a while, when those are most likely dead, are helped along.
func (v *delivery) await(ctx context.Context, life *coordinator.GuestLife) error {
	var waiting []segments.Partition
	need := map[segments.Partition]int64{}
	for i := range v.s.parts {
		if p := &v.s.parts[i]; p.lastOffset() >= 0 {
			waiting = append(waiting, p.partition)
			need[p.partition] = p.lastOffset()
		}
	}
	patience, begun := helpAge+rand.N(helpAge/2), time.Now()
	for look := firstLook; len(waiting) > 0; look = min(2*look, lastLook) {
		marks, err := life.HighWatermarks(ctx, waiting)
		if lifeOver(err) {
			return err
		}
		if err == nil {
			waiting = v.behind(waiting, marks, need)
		}
		if err == nil && len(waiting) > 0 && time.Since(begun) > patience {
			err = v.help(ctx, life, need, begun)
			patience += helpAge
		}
		if lifeOver(err) {
			return err
		}
		if len(waiting) > 0 && retry.Pause(ctx, look) != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
	return nil
}

// behind returns which of the partitions have to be waited for. Those that are gone have not.
func (v *delivery) behind(
	waiting []segments.Partition,
	marks []int64,
	need map[segments.Partition]int64,
) []segments.Partition {
	var rest []segments.Partition
	for i, p := range waiting {
		if marks[i] >= 0 && marks[i] <= need[p] {
			rest = append(rest, p)
		}
		if marks[i] < 0 {
			v.s.lose(p)
		}
	}
	return rest
}

// lose answers the batches of a partition that was deleted before they could be read.
func (s *segment) lose(p segments.Partition) {
	for _, part := range s.parts {
		if part.partition != p {
			continue
		}
		for i := range part.items {
			part.items[i].answer = coordinator.BatchAnswer{
				BaseOffset:     -1,
				LogStartOffset: -1,
				Err:            coordinator.ErrUnknownPartition,
			}
		}
	}
}

// help settles the commits that lie before ours and whose writers have left them: see Writer.help.
// They were decided before ours, so they are at least as old as our patience. What a node was to
// carry and never put ends the incarnation: see Writer.missed.
func (v *delivery) help(
	ctx context.Context, life *coordinator.GuestLife, need map[segments.Partition]int64, since time.Time,
) error {
	settled, err := life.Settled(ctx)
	if err != nil {
		return err
	}
	entries, err := life.Stream(ctx, settled, math.MaxUint64)
	if err != nil {
		return err
	}
	confirmed := map[uint64]bool{}
	for _, e := range entries {
		for _, seq := range e.Confirmed {
			confirmed[seq] = true
		}
	}
	theirs := slices.DeleteFunc(entries, func(e coordinator.Entry) bool {
		return confirmed[e.Seq] || e.Fact == nil || e.Fact.Commit == nil ||
			!slices.ContainsFunc(e.Fact.Commit.Spans, func(c coordinator.CommitSpan) bool {
				last, ours := need[c.Partition]
				return ours && c.Span.Base <= last
			})
	})
	theirs, missing := inBucket(theirs, func(id segments.ID) (bool, error) { return life.Carries(ctx, id) })
	if waited := time.Since(since); len(missing) > 0 && waited > missedFor {
		return life.Abandon(fmt.Errorf("%w: %s, for %s", errNeverPut, missing[0], waited))
	}
	if err := life.Settle(ctx, theirs...); err != nil {
		return err
	}
	v.d.metrics.helped.Add(float64(len(theirs)))
	return nil
}

// results returns the answers in the order in which the batches came.
func (v *delivery) results(n int) []Result {
	results := make([]Result, n)
	for i := range v.s.parts {
		for _, it := range v.s.parts[i].items {
			results[it.slot] = Result{
				BaseOffset:     it.answer.BaseOffset,
				LogStartOffset: it.answer.LogStartOffset,
				Err:            it.answer.Err,
			}
			v.d.metrics.count(it.answer.Err)
		}
	}
	return results
}
