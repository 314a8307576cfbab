package embedded

import (
	"context"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// recentCommit is what is remembered of a committed segment.
type recentCommit struct {
	seq     uint64 // of the newest fact that it became; 0 if it was recovered from the bucket
	segment *coordinator.CommittedSegment
}

// Commit implements coordinator.Log.
func (e *Coordinator) Commit(_ context.Context, in coordinator.Incarnation,
	req coordinator.CommitRequest) (coordinator.CommitAnswer, error) {
	if err := req.Validate(); err != nil {
		return coordinator.CommitAnswer{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return coordinator.CommitAnswer{}, err
	}
	now := e.opts.Clock()
	e.forgetCommits(now)
	e.forgetProducers(now)
	prior := e.commits.byID[req.Segment]
	age := now.Sub(req.Segment.Time())
	if age > e.opts.CommitDeadline || age < -e.opts.CommitDeadline ||
		prior == nil && slices.Contains(e.forgotten, req.Segment.Time().Unix()) {
		return coordinator.CommitAnswer{}, coordinator.TooOld(req.Segment, age, e.opts.CommitDeadline)
	}
	recent := prior
	if recent == nil {
		recent = &recentCommit{segment: &coordinator.CommittedSegment{}}
	}
	answer, commit := e.decided.DecideCommit(&req, recent.segment, e.mayUse, e.highWatermark,
		func(lease string, epoch uint64) error { return e.holds(lease, epoch, now) }, now)
	if commit != nil {
		answer.Entry = e.decide(&coordinator.Fact{Incarnation: in, Commit: commit})
		recent.seq = answer.Entry.Seq
	} else if fact := e.pending.facts[recent.seq]; fact != nil {
		answer.Entry = coordinator.Entry{Seq: recent.seq, Fact: fact}
	}
	e.commits.remember(req.Segment, req.Segment.Time().Add(e.opts.CommitDeadline), recent)
	return answer, nil
}

// mayUse says whether commits may use a partition.
func (e *Coordinator) mayUse(at segments.Partition) bool {
	t := e.decided.Topic(at.Topic)
	return t != nil && !t.Deleted && at.Index >= 0 && at.Index < e.usable[at.Topic]
}

// producerSweep is how often silent producers are looked for.
const producerSweep = 10 * time.Minute

// forgetProducers drops silent producers, now and then.
func (e *Coordinator) forgetProducers(now time.Time) {
	if now.Sub(e.swept) >= producerSweep {
		e.decided.Forget(now)
		e.swept = now
	}
}
