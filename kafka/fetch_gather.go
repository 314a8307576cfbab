package kafka

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/budget"
	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
)

// A Fetch is answered like this: blocks in memory are there at once. Others are read from the
// bucket, each partition on its own, and the answer does not wait for all of them: once there is
// enough for the client, the reads under way have as long again as it took until then, and are
// left. The get goes on in the index, and the next fetch finds its block there, or waits for it on.
// So one slow object holds up its own partition alone.
const (
	// leastPatience is what reads under way have in any case.
	leastPatience = 5 * time.Millisecond
	// leastColdWait is how long a fetch waits for the bucket at least when nothing else is there, also
	// for clients that do not want to wait for new records: those would ask again and again.
	leastColdWait = 500 * time.Millisecond
)

// reads are the reads of the bucket that a fetch has begun.
type reads struct {
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
	running int
	ended   chan endedRead
}

// endedRead is what a read of the bucket brought.
type endedRead struct {
	p        *fetchPartition
	chunk    index.Chunk
	err      error
	panicked any
}

// gather reads until there is enough to answer, or no more time.
func (f *fetchCall) gather(ctx context.Context) error {
	f.catchUp(ctx)
	f.reads.ctx, f.reads.stop = context.WithCancel(ctx)
	defer f.endReads()
	if f.round() == enough {
		return nil
	}
	watched := make([]segments.Partition, 0, len(f.partitions))
	for i := range f.partitions {
		if !f.partitions[i].nowhere {
			watched = append(watched, f.partitions[i].Partition)
		}
	}
	watch := f.s.opts.Node.View().Watch(watched...)
	defer watch.Close()
	timer := time.NewTimer(time.Until(f.expires))
	defer timer.Stop()
	var patience, commits <-chan time.Time
	if f.readsCommits() {
		look := time.NewTicker(commitsLook)
		defer look.Stop()
		commits = look.C
	}
	for {
		// Once more after Watch was called: whatever came before it gave no signal.
		switch f.round() {
		case enough:
			return nil
		case enoughButReading:
			if patience == nil {
				timer := time.NewTimer(max(leastPatience, time.Since(f.began)))
				defer timer.Stop()
				patience = timer.C
			}
		}
		if done, err := f.await(ctx, watch, timer, patience, commits); done || err != nil {
			return err
		}
	}
}

// await waits until it is worth while to look again. It reports whether the answer has to be given
// as it is.
func (f *fetchCall) await(
	ctx context.Context,
	watch *coordinator.Watch,
	timer *time.Timer,
	patience, commits <-chan time.Time,
) (done bool, err error) {
	from := time.Now()
	defer func() { f.work.waited += time.Since(from) }()
	select {
	case <-watch.C:
	case <-commits:
	case r := <-f.reads.ended:
		f.readEnded(r)
	case <-patience:
		return true, nil
	case <-timer.C:
		if f.minBytes = 0; f.reads.running > 0 { // nothing is there, or the fetch would not wait any more
			if cold := time.Until(f.began.Add(leastColdWait)); cold > 0 {
				timer.Reset(cold)
				return false, nil
			}
			return true, nil
		}
	case <-f.s.draining:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	return false, nil
}

// readsCommits says that __consumer_offsets is asked for, of which no watch tells.
func (f *fetchCall) readsCommits() bool {
	return slices.ContainsFunc(f.partitions, func(p fetchPartition) bool { return p.Topic == offsetsTopic.ID })
}

// catchUp has this node hear the news if some client is ahead of it, which has read more from
// another node.
func (f *fetchCall) catchUp(ctx context.Context) {
	view := f.s.opts.Node.View()
	for i := range f.partitions {
		p := &f.partitions[i]
		if info, ok := view.Partition(p.Partition); ok && p.invalid == nil && p.offset > info.HighWatermark {
			f.behind = f.s.catchUp(ctx) != nil
			return
		}
	}
}

// state is how far a fetch has come.
type state int

const (
	tooLittle        state = iota
	enoughButReading       // more is on its way
	enough
)

// round looks at every partition from where its client is, takes what is in memory and begins to
// read what is not. Unless there is enough, or reads are under way, it holds nothing afterwards.
func (f *fetchCall) round() state {
	f.forget()
	readable, failed, want := f.locate()
	if want > 0 {
		f.reserve(int64(want))
		failed = f.collect(readable) || failed
	}
	total := 0
	for i := range f.partitions {
		total += f.partitions[i].bytes
	}
	over := !time.Now().Before(f.expires)
	switch {
	case failed, len(f.partitions) == 0:
	case f.reads.running > 0 && (total == 0 || total < f.minBytes && !over):
		return tooLittle
	case f.reads.running > 0:
		return enoughButReading
	case total < f.minBytes && !over && (total == 0 || !f.limited()):
		f.forget()
		f.memory.Release()
		f.reserved = 0
		return tooLittle
	}
	f.memory.ShrinkTo(int64(total))
	return enough
}

// locate finds out where each partition stands, without reading: which have something for the
// client, whether any has an error that ends the wait, and how many bytes are to be read at most.
func (f *fetchCall) locate() (readable []*fetchPartition, failed bool, want int) {
	nowhere := 0
	for i := range f.partitions {
		p := &f.partitions[i]
		p.refused = p.invalid
		if p.nowhere {
			nowhere++
			continue
		}
		info, ok := coordinator.PartitionInfo{}, false
		if p.refused == nil {
			info, ok = f.s.readableInfo(p.Partition)
		}
		p.highWatermark, p.lastStable, p.logStart = info.HighWatermark, info.LastStable, info.LogStart
		switch {
		case p.refused != nil:
		case !ok:
			p.refused = noPartition(p.Index) // deleted meanwhile
		case p.Topic == offsetsTopic.ID && p.offset > info.HighWatermark && p.offset <= reach(info.HighWatermark):
		case p.offset > info.HighWatermark && f.behind:
			p.refused = refuse(kerr.NotLeaderForPartition,
				"this node is cut off and knows partition %d up to %d only; try another", p.Index, info.HighWatermark)
		case p.offset < info.LogStart || p.offset > info.HighWatermark:
			p.refused = refuse(kerr.OffsetOutOfRange,
				"offset %d is not from %d to %d", p.offset, info.LogStart, info.HighWatermark)
		case p.offset < f.end(p):
			readable = append(readable, p)
			want = min(want+p.maxBytes, f.maxBytes)
		}
		failed = failed || p.refused != nil
	}
	return readable, failed || nowhere == len(f.partitions), want
}

// end is the offset up to which a partition may be read.
func (f *fetchCall) end(p *fetchPartition) int64 {
	if f.committed {
		return p.lastStable
	}
	return p.highWatermark
}

// reserve takes memory for a response of up to want bytes. It takes at most a quarter of what is
// left, so that a few clients who take their answers slowly make the answers of all smaller instead
// of making others wait. When nothing is left, a connection still has what is its own.
func (f *fetchCall) reserve(want int64) {
	for _, n := range []int64{f.memory.Room() / 4, smallAnswerBytes, f.s.opts.Limits.ConnectionBytes} {
		if n = min(n, want); n > f.reserved && f.memory.TryGrow(n-f.reserved) {
			f.reserved = n
		}
		if f.reserved > 0 {
			return
		}
	}
}

// more takes memory for what has to be read although it is larger than what was reserved.
func (f *fetchCall) more(ctx context.Context, bytes int64) error {
	ctx, cancel := context.WithTimeout(ctx, max(time.Until(f.expires), leastColdWait))
	defer cancel()
	return f.memory.Grow(ctx, bytes)
}

// forget drops the batches of all partitions. Blocks that arrived from the bucket are kept.
func (f *fetchCall) forget() {
	for i := range f.partitions {
		f.partitions[i].batches, f.partitions[i].bytes, f.partitions[i].aborted = nil, 0, nil
	}
}

// collect goes through the partitions in their order until the reserved bytes are used up. It
// reports whether one of them failed.
func (f *fetchCall) collect(readable []*fetchPartition) (failed bool) {
	left, nothing := int(f.reserved), true
	for _, p := range readable {
		if left <= 0 && !nothing {
			break
		}
		most := max(min(p.maxBytes, left), 1)
		if p.reading == 0 {
			f.fill(p, most, nothing)
		}
		left -= p.bytes // what is being read has its place when it is there
		nothing = nothing && p.bytes == 0
		failed = failed || p.refused != nil
	}
	return failed
}

// fill gives a partition what has arrived from the bucket, or what is in memory, or else begins to
// read it from the bucket.
func (f *fetchCall) fill(p *fetchPartition, most int, atLeastOne bool) {
	if p.Topic == offsetsTopic.ID {
		chunk, err := f.s.commits.read(p.offset, most, atLeastOne)
		if err != nil {
			p.refused = f.s.unreadable(p, err)
			return
		}
		f.take(p, chunk, most, atLeastOne)
		return
	}
	if p.arrived != nil && (atLeastOne || size(p.arrived.Batches) <= most) {
		f.take(p, *p.arrived, most, atLeastOne)
		return
	}
	chunk, err := f.s.opts.Index.ReadWithin(f.reads.ctx, p.Partition, p.offset,
		index.Bounds{MaxBytes: most, AtLeastOne: atLeastOne, Committed: f.committed, InMemory: true, Reserve: f.more})
	switch {
	case errors.Is(err, budget.ErrFull): // nothing now
	case err != nil:
		p.refused = f.s.unreadable(p, err)
	case chunk.Missing && len(chunk.Batches) == 0:
		f.begin(p, most, atLeastOne)
	default:
		f.take(p, chunk, most, atLeastOne)
	}
}

// begin reads a partition from the bucket, if not too many are being read.
func (f *fetchCall) begin(p *fetchPartition, most int, atLeastOne bool) {
	if f.reads.running == maxParallel {
		return
	}
	if f.reads.ended == nil {
		f.reads.ended = make(chan endedRead, maxParallel)
	}
	f.reads.running++
	p.reading = most
	at, offset := p.Partition, p.offset
	f.reads.wg.Go(func() {
		r := endedRead{p: p}
		defer func() {
			r.panicked = recover()
			f.reads.ended <- r
		}()
		r.chunk, r.err = f.s.opts.Index.ReadWithin(f.reads.ctx, at, offset,
			index.Bounds{MaxBytes: most, AtLeastOne: atLeastOne, Committed: f.committed, Reserve: f.more})
	})
}

// readEnded keeps what a read of the bucket has brought.
func (f *fetchCall) readEnded(r endedRead) {
	f.reads.running--
	r.p.reading = 0
	switch {
	case r.panicked != nil:
		panic(r.panicked)
	case r.err == nil:
		r.p.arrived = &r.chunk
	case !errors.Is(r.err, budget.ErrFull):
		r.p.invalid = f.s.unreadable(r.p, r.err)
	}
}

// endReads leaves the reads under way. Their gets go on.
func (f *fetchCall) endReads() {
	f.reads.stop()
	f.reads.wg.Wait()
}

// take makes what was read the partition's answer.
func (f *fetchCall) take(p *fetchPartition, chunk index.Chunk, most int, atLeastOne bool) {
	p.batches, p.aborted = chunk.Batches, chunk.Aborted
	p.highWatermark, p.lastStable, p.logStart = chunk.HighWatermark, chunk.LastStable, chunk.LogStart
	if p.maxPlain > 0 {
		p.batches = f.unpack(p, most, atLeastOne)
	}
	p.bytes = size(p.batches)
}

func size(batches [][]byte) (n int) {
	for _, b := range batches {
		n += len(b)
	}
	return n
}

// unreadable is the answer for a partition whose data cannot be read now.
func (s *Server) unreadable(p *fetchPartition, err error) *refusal {
	switch {
	case errors.Is(err, coordinator.ErrUnknownPartition):
		return refuse(kerr.UnknownTopicOrPartition, "%v", err)
	case errors.Is(err, index.ErrOffsetOutOfRange):
		return refuse(kerr.OffsetOutOfRange, "%v", err)
	}
	s.readFailures.Do(func() {
		s.opts.Logger.Error("fetch cannot read a partition",
			"partition", p.Partition, "offset", p.offset, "error", err)
	})
	return refuse(kerr.KafkaStorageError, "%v", err)
}

// limited reports whether a partition has more than was read of it: then waiting brings nothing.
func (f *fetchCall) limited() bool {
	for i := range f.partitions {
		p := &f.partitions[i]
		chunk := index.Chunk{Batches: p.batches}
		if p.refused == nil && chunk.Next(p.offset) < f.end(p) {
			return true
		}
	}
	return false
}
