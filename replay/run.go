package replay

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"firn.dev/segments/batch"
)

// Output is where Run puts records.
type Output interface {
	// Open begins with a partition. Different partitions are written concurrently.
	Open(ctx context.Context, r Range) (Sink, error)
	// Memory is what one open sink holds at most, about. It bounds how many partitions are read at
	// once.
	Memory() int64
}

// Sink takes the records of one partition.
type Sink interface {
	// Write takes records in order, without keeping them; there may be none. All that the partition
	// has below next was written then.
	Write(records []batch.Record, next int64) error
	// Idle is called when there is nothing more for now, and makes the records written so far visible.
	Idle() error
	// Close ends the partition: all of it was written.
	Close() error
	// Abort gives up what is not finished. It may be called after Close, and then does nothing.
	Abort()
}

// Run reads all and gives it to an output, without what cannot be read (see Skipped). Partitions
// are decoded and written concurrently, as many at once as their sinks fit into a quarter of the
// memory.
func (r *Replay) Run(ctx context.Context, out Output) error {
	atOnce := int(max(1, r.opts.Memory/4/max(out.Memory(), 1)))
	if r.opts.Follow {
		atOnce = len(r.ranges)
	}
	for group := range slices.Chunk(r.ranges, max(atOnce, 1)) {
		if err := r.run(ctx, out, group); err != nil {
			return err
		}
	}
	return nil
}

// run replays some ranges at once.
func (r *Replay) run(ctx context.Context, out Output, ranges []Range) (err error) {
	sinks := make([]Sink, len(ranges))
	defer func() {
		for _, s := range sinks {
			if s != nil {
				s.Abort()
			}
		}
	}()
	for i := range ranges {
		if sinks[i], err = out.Open(ctx, ranges[i]); err != nil {
			return err
		}
	}
	workers := make([]chan *chunk, min(runtime.GOMAXPROCS(0), len(ranges)))
	running, ctx := errgroup.WithContext(ctx)
	for n := range workers {
		workers[n] = make(chan *chunk, 64)
		running.Go(func() error { return r.work(workers[n], ranges, sinks) })
	}
	running.Go(func() error {
		defer func() {
			for _, w := range workers {
				close(w)
			}
		}()
		return r.chunks(ctx, ranges, func(c *chunk) error {
			select {
			case workers[c.at%len(workers)] <- c:
				return nil
			case <-ctx.Done():
				c.release()
				return context.Cause(ctx)
			}
		})
	})
	if err := running.Wait(); err != nil {
		return err
	}
	for _, s := range sinks {
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

// work decodes the chunks of some partitions and gives their records to the sinks.
func (r *Replay) work(chunks <-chan *chunk, ranges []Range, sinks []Sink) (failed error) {
	var records []batch.Record
	written := map[int]bool{} // since sinks were idle
	for {
		var c *chunk
		var ok bool
		select {
		case c, ok = <-chunks:
		default:
			if failed == nil && r.opts.Follow {
				for at := range written {
					failed = errors.Join(failed, sinks[at].Idle())
				}
				clear(written)
			}
			c, ok = <-chunks
		}
		if !ok {
			return failed
		}
		if failed == nil {
			within := c.within(&ranges[c.at])
			records, failed = r.write(c, &within, sinks[c.at], records)
			written[c.at] = true
		}
		c.release()
		if failed != nil {
			return failed // the group's context then ends the reader, which waits for nobody
		}
	}
}

// write gives the records of a chunk to a sink, batch by batch.
func (r *Replay) write(c *chunk, within *Range, sink Sink, room []batch.Record) ([]batch.Record, error) {
	err := c.batches(within, func(b []byte, h batch.Header) error {
		room = r.appendRecords(room[:0], b, within)
		r.records.Add(int64(len(room)))
		return sink.Write(room, min(h.BaseOffset+int64(h.LastOffsetDelta)+1, within.To))
	})
	clear(room) // they hold the memory of their batches
	return room[:0], err
}
