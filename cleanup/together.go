package cleanup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"firn.dev/coordinator/spans"
	"firn.dev/segments"
)

// Partitions whose records are few lie side by side in mixed segments, thousands of which it may
// take to make a merged one. Read one partition at a time, each of them would be asked for its few
// bytes once for every partition. So such partitions are merged together: one get reads their runs
// of a mixed segment where these are adjacent, or nearly, and the job keeps them in memory, sorted
// by partition, until all are there.

const (
	togetherParts = 64       // partitions at once
	togetherShare = 2        // which part of a job's memory their records take
	togetherGap   = 32 << 10 // bytes of others that are read rather than ask again
	togetherGet   = 4 << 20  // the largest get
	togetherGets  = 4        // at once
)

// groups puts work together that is done better so. Everything else is alone.
func (c *Cleaner) groups(all []work) [][]work {
	slices.SortFunc(all, func(a, b work) int { return a.at.Compare(b.at) })
	most := min(c.opts.MemoryBytes, jobMemory) / togetherShare
	var groups [][]work
	var bytes int64 // of the last group; none can join one that has too many
	for _, w := range all {
		n := sumLength(w.merge)
		if len(w.merge) == 0 || w.merge[0].Version > 0 {
			n = most
		}
		last := len(groups) - 1
		if last < 0 || bytes+n >= most || len(groups[last]) == togetherParts {
			groups, bytes = append(groups, nil), 0
			last++
		}
		groups[last] = append(groups[last], w)
		bytes += n
	}
	return groups
}

// doTogether merges mixed spans of several partitions. It says whether all of it was done. If they
// cannot be read together, because a segment is gone, each goes its way.
func (c *Cleaner) doTogether(ctx context.Context, group []work) bool {
	done := true
	if len(group) > 1 {
		var rest []work
		if rest, done = c.together(ctx, group); len(rest) == 0 || ctx.Err() != nil {
			return done
		}
		group = rest
	}
	for _, w := range group {
		if !c.do(ctx, w) {
			done = false
		}
	}
	return done
}

// together returns those that could not be read together, and whether nothing else went wrong.
func (c *Cleaner) together(ctx context.Context, group []work) (rest []work, done bool) {
	done = true
	failed := func(w work, err error) {
		c.tell(ctx, w, err)
		done = false
	}
	var held []*gathered
	defer func() {
		for _, g := range held {
			g.job.letGo()
		}
	}()
	for _, w := range group {
		h, err := c.take(ctx, leaseOf(w.at))
		if err != nil {
			failed(w, err)
			continue
		}
		j := &job{hold: h, at: w.at, topic: w.topic, config: w.config, looked: w.now}
		held = append(held, &gathered{w, j, make([]byte, sumLength(w.merge))})
	}
	defer c.opts.Pace.begin()()
	if err := c.gather(ctx, held); err != nil {
		c.opts.Logger.Debug("merging partitions together failed, each is merged alone", "partitions", len(held), "cause", err)
		for _, g := range held {
			rest = append(rest, g.work)
		}
		return rest, done
	}
	for _, g := range held {
		if err := g.write(); err != nil {
			failed(g.work, err)
		}
		g.bytes = nil
	}
	return nil, done
}

// gathered is a partition's share of what is merged together.
type gathered struct {
	work
	job   *job
	bytes []byte // of its spans, one after the other
}

// part is a span's place in a mixed segment, and in the memory that it is to be in.
type part struct {
	segment  segments.ID
	position int64
	into     []byte
}

// gather reads the spans of all, in the order in which they lie in their segments.
func (c *Cleaner) gather(ctx context.Context, all []*gathered) error {
	var parts []part
	for i := range all {
		rest := all[i].bytes
		for _, s := range all[i].merge {
			parts = append(parts, part{s.Segment, s.Position, rest[:s.Length]})
			rest = rest[s.Length:]
		}
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(slices.Compare(a.segment[:], b.segment[:]), cmp.Compare(a.position, b.position))
	})
	gets, under := errgroup.WithContext(ctx)
	gets.SetLimit(togetherGets)
	for len(parts) > 0 {
		n := stretch(parts)
		some := parts[:n]
		parts = parts[n:]
		if c.opts.Pace.wait(under, lengthOf(some)) != nil {
			break // because of what is returned below
		}
		gets.Go(func() error { return c.get(under, some) })
	}
	if err := gets.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// stretch returns how many of the parts one get reads.
func stretch(parts []part) int {
	n, first := 1, parts[0]
	for ; n < len(parts); n++ {
		before, p := parts[n-1], parts[n]
		gap := p.position - before.position - int64(len(before.into))
		if p.segment != first.segment || gap > togetherGap || p.position+int64(len(p.into))-first.position > togetherGet {
			break
		}
	}
	return n
}

func lengthOf(parts []part) int {
	last := parts[len(parts)-1]
	return int(last.position-parts[0].position) + len(last.into)
}

func (c *Cleaner) get(ctx context.Context, parts []part) error {
	first, length := parts[0], lengthOf(parts)
	body, err := c.opts.Store.Get(ctx, first.segment.Key(), first.position, int64(length))
	if err == nil && len(body) != length {
		err = fmt.Errorf("the store gave %d bytes for %d", len(body), length)
	}
	if err != nil {
		return fmt.Errorf("segment %s, bytes %d to %d: %w", first.segment, first.position, first.position+int64(length), err)
	}
	for _, p := range parts {
		copy(p.into, body[p.position-first.position:])
	}
	return nil
}

// write makes the merged segment.
func (g *gathered) write() error {
	begun := time.Now()
	out, err := g.job.create()
	if err != nil {
		return err
	}
	defer out.abort()
	rest := g.bytes
	var starts []int32
	for i := range g.merge {
		span := &g.merge[i]
		bytes := rest[:span.Length:span.Length]
		rest = rest[span.Length:]
		if starts, err = spans.Check(&spans.Piece{Span: *span}, bytes, starts[:0]); err != nil {
			return spans.Describe(span, err)
		}
		for b := range spans.Split(bytes, starts) {
			if err := out.Add(b); err != nil {
				return err
			}
		}
	}
	return g.job.finish(out, g.merge, g.after, begun)
}
