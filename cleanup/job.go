package cleanup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// job is work on one partition, under its lease. Its context ends with that.
type job struct {
	*hold
	at     segments.Partition
	topic  *coordinator.Topic
	config topicconfig.Config
	looked time.Time // by the coordinator's clock, when the partition was looked at
}

// batches streams the batches of spans, in order, each checked and with its final offsets, at the
// pace of merges. The bytes are valid until the next.
func (j *job) batches(spans []coordinator.Span) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for b, err := range j.c.reader.Batches(j.ctx, spans) {
			if err == nil {
				err = j.c.opts.Pace.wait(j.ctx, len(b))
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// sink is a merged segment that is being written. Whoever began it ends it with replace or abort.
type sink struct {
	j      *job
	id     segments.ID
	upload segments.Upload
	*segments.MergedWriter
}

// create begins a merged segment.
func (j *job) create() (*sink, error) {
	id := j.c.newID()
	u, err := j.c.opts.Store.Create(j.ctx, id.Key())
	if err != nil {
		return nil, err
	}
	return &sink{j, id, u, segments.NewMerged(u, id, j.at)}, nil
}

// abort leaves nothing behind, if the segment was not stored. After that it does nothing.
func (s *sink) abort() {
	if err := s.upload.Abort(); err != nil {
		s.j.c.opts.Logger.Warn("giving up a merge left an upload behind, which is removed later", "segment", s.id,
			"error", err)
	}
}

const (
	storeTries = 4
	storePause = 500 * time.Millisecond
)

// store finishes the segment and makes the object durable. It returns the span that it is, as mark
// has changed it.
func (s *sink) store(mark func(*coordinator.Span) error) (coordinator.Span, error) {
	run, err := s.Finish()
	if err != nil {
		return coordinator.Span{}, err
	}
	span := coordinator.Span{Segment: s.id, Base: run.BaseOffset, Last: run.LastOffset, Position: run.Position,
		Length:       run.Length,
		MaxTimestamp: run.MaxTimestamp}
	if err := mark(&span); err != nil {
		return coordinator.Span{}, err
	}
	for try := 1; ; try++ {
		if err = s.upload.Commit(); err == nil {
			return span, nil
		}
		if try == storeTries || errors.Is(err, segments.ErrExists) {
			return coordinator.Span{}, err
		}
		select {
		case <-time.After(storePause):
		case <-s.j.ctx.Done():
			return coordinator.Span{}, context.Cause(s.j.ctx)
		}
	}
}

// replacement is what a job does to its partition: these spans give way.
type replacement struct {
	spans []coordinator.Span
	after uint64                        // of the plan: see coordinator.View.Plan
	mark  func(*coordinator.Span) error // changes what the fact will say of the new span, or refuses it
}

func (r *replacement) base() int64 { return r.spans[0].Base }

func (r *replacement) last() int64 { return r.spans[len(r.spans)-1].Last }

// replace puts a segment in the place of the spans that it was made of, or nothing if s is nil:
// nothing of them has survived. It returns once the view shows it. Whatever the error, an object
// that was stored stays: its merge may have been decided, and if it was not, the object is garbage.
func (j *job) replace(r replacement, s *sink) error {
	p := &coordinator.ProposeMerge{Lease: j.lease.Name, Epoch: j.lease.Epoch, After: r.after,
		Youngest: coordinator.Youngest(r.spans), Merge: coordinator.Merge{Partition: j.at, Base: r.base(), Last: r.last()}}
	if s != nil {
		span, err := s.store(r.mark)
		if err != nil {
			return fmt.Errorf("storing merged segment %s: %w", s.id, err)
		}
		p.Segment, p.Merge.Spans = s.id, []coordinator.Span{span}
	}
	_, err := j.c.opts.Node.Change(j.ctx, coordinator.Change{Merge: p})
	return err
}

// errDiffers says that a merge did not come out as what went in. It is never proposed.
var errDiffers = errors.New("a merged segment does not hold what it was made of")

// merge makes one merged segment of adjacent spans.
func (j *job) merge(spans []coordinator.Span, after uint64) error {
	begun := time.Now()
	defer j.c.opts.Pace.begin()()
	out, err := j.create()
	if err != nil {
		return err
	}
	defer out.abort()
	for b, err := range j.batches(spans) {
		if err == nil {
			err = out.Add(b)
		}
		if err != nil {
			return err
		}
	}
	return j.finish(out, spans, after, begun)
}

// finish has a segment take the place of spans whose batches it holds, all of them.
func (j *job) finish(out *sink, spans []coordinator.Span, after uint64, begun time.Time) error {
	r := replacement{spans: spans, after: after}
	length := sumLength(spans)
	r.mark = func(s *coordinator.Span) error {
		if s.Base != r.base() || s.Last != r.last() || s.Length != length {
			return fmt.Errorf("%w: offsets %d-%d in %d bytes, made of %d-%d in %d", errDiffers,
				s.Base, s.Last, s.Length, r.base(), r.last(), length)
		}
		return nil
	}
	if err := j.replace(r, out); err != nil {
		return err
	}
	j.c.metrics.merge(len(spans), length, time.Since(begun))
	return nil
}

func sumLength(spans []coordinator.Span) (n int64) {
	for i := range spans {
		n += spans[i].Length
	}
	return n
}
