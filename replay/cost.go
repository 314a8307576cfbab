package replay

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync/atomic"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// counting is a store that counts requests.
type counting struct {
	segments.Store
	gets, lists, bytes atomic.Int64
}

// Get implements segments.Store.
func (c *counting) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	c.gets.Add(1)
	b, err := c.Store.Get(ctx, key, offset, length)
	c.bytes.Add(int64(len(b)))
	return b, err
}

// listPage is how many objects one LIST request returns.
const listPage = 1000

// List implements segments.Store.
func (c *counting) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		c.lists.Add(1)
		n := 0
		for o, err := range c.Store.List(ctx, prefix, after) {
			if n++; n%listPage == 0 {
				c.lists.Add(1)
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Prices are in US dollars.
type Prices struct {
	Get      float64 // a thousand GET requests
	List     float64 // a thousand LIST requests
	Transfer float64 // a GiB out of the bucket
}

// ListPrices are those of S3 Standard in us-east-1. Within a region nothing is charged for the
// transfer.
var ListPrices = Prices{Get: 0.0004, List: 0.005}

// Cost is what a replay takes.
type Cost struct {
	Partitions int
	Offsets    int64 // in the ranges, with holes where records were compacted away
	Objects    int64 // segments
	Bytes      int64 // to read of them
	Gets       int64 // for them
	StateGets  int64 // for the state, and for times to begin or end at: these were sent
	StateBytes int64
	Lists      int64
}

// Dollars is what that costs.
func (c Cost) Dollars(p Prices) float64 {
	return float64(
		c.Gets+c.StateGets,
	)/1000*p.Get + float64(
		c.Lists,
	)/1000*p.List + float64(
		c.Bytes+c.StateBytes,
	)/(1<<30)*p.Transfer
}

// Write says it in words.
func (c Cost) Write(w io.Writer, p Prices) error {
	_, err := fmt.Fprintf(
		w,
		"partitions %d\noffsets    %d\nobjects    %d\nbytes      %d\ngets       %d, and %d for the state\nlists      "+
			"%d\ncost       $%.6f\n",
		c.Partitions,
		c.Offsets,
		c.Objects,
		c.Bytes,
		c.Gets,
		c.StateGets,
		c.Lists,
		c.Dollars(p),
	)
	return err
}

// Cost plans the whole replay without reading segments. For merged segments, of which the index is
// not read, and with partitions that are read a few at a time, it is about right; for the rest
// exact, unless segments are merged meanwhile.
func (r *Replay) Cost(ctx context.Context) (Cost, error) {
	c := Cost{Partitions: len(r.ranges)}
	p := r.planner(r.ranges)
	p.blocks = func(_ context.Context, span *coordinator.Span) ([]segments.Block, error) {
		c.Gets++
		return assumed(span), nil
	}
	for i := range p.cursors {
		info, _ := r.view.Partition(p.cursors[i].partition)
		p.cursors[i].end = min(p.cursors[i].end, r.end(info))
		c.Offsets += max(p.cursors[i].end-p.cursors[i].next, 0)
	}
	seen := map[segments.ID]struct{}{}
	for {
		gets, err := p.gets(ctx)
		if err != nil {
			return c, err
		}
		if len(gets) == 0 {
			break
		}
		for i := range gets {
			g := &gets[i]
			if len(g.parts) == 0 {
				continue
			}
			seen[g.segment] = struct{}{}
			c.Bytes += g.length
			c.Gets++
		}
	}
	c.Objects = int64(len(seen))
	c.StateGets, c.Lists, c.StateBytes = r.store.gets.Load(), r.store.lists.Load(), r.store.bytes.Load()
	return c, nil
}

// Request is one ranged read of an object.
type Request struct {
	Key            string
	Offset, Length int64
}

// Requests yields the reads of segments that a replay of the ranges sends, beside those of indexes,
// in their order.
func (r *Replay) Requests(ctx context.Context) iter.Seq2[Request, error] {
	return func(yield func(Request, error) bool) {
		p := r.planner(r.ranges)
		for {
			gets, err := p.gets(ctx)
			if err != nil {
				yield(Request{}, err)
				return
			}
			if len(gets) == 0 {
				return
			}
			for _, g := range gets {
				if len(g.parts) > 0 && !yield(Request{g.segment.Key(), g.position, g.length}, nil) {
					return
				}
			}
		}
	}
}

// assumed is an index of a merged segment as it would be if all records had the same size.
func assumed(span *coordinator.Span) []segments.Block {
	n := (span.Length + segments.BlockBytes - 1) / segments.BlockBytes
	offsets := span.Last + 1 - span.Base
	n = max(min(n, offsets), 1)
	blocks := make([]segments.Block, n)
	for i := range n {
		from, to := share(i, n, span.Length), share(i+1, n, span.Length)
		blocks[i] = segments.Block{
			Position:   span.Position + from,
			Length:     int32(min(to-from, 1<<31-1)),
			BaseOffset: span.Base + share(i, n, offsets),
			LastOffset: span.Base + share(i+1, n, offsets) - 1,
		}
	}
	return blocks
}

// share is i/n of the whole.
func share(i, n, whole int64) int64 { return whole/n*i + whole%n*i/n }

// Bytes is how many bytes of segments the ranges have, about: for progress. With Follow it is what
// they have now.
func (r *Replay) Bytes() (total int64) {
	for i := range r.ranges {
		g := &r.ranges[i]
		part := segments.Partition{Topic: r.topic.ID, Index: g.Partition}
		for offset := g.From; offset < g.To; {
			found := r.view.Spans(part, offset, lookAhead)
			if len(found) == 0 {
				break
			}
			for j := range found {
				s := &found[j]
				from, to := max(s.Base, g.From), min(s.Last+1, g.To)
				if from < to {
					total += int64(float64(s.Length) * float64(to-from) / float64(s.Last+1-s.Base))
				}
			}
			offset = found[len(found)-1].Last + 1
		}
	}
	return total
}
