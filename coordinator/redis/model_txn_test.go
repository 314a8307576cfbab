package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Transactions of the model test: two ids, one of the old protocol.

func endingsText(errs []error) string {
	var b strings.Builder
	for _, err := range errs {
		which := slices.IndexFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
		fmt.Fprintf(&b, "%d %v, ", which, err == nil)
	}
	return b.String()
}

// lookID compares what is decided of an id, and returns that.
func (p *pair) lookID(t *rapid.T) (coordinator.DecidedID, coordinator.Protocol) {
	p.T = t
	id := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id")
	a, errA := p.model.TransactionalID(p.ctx, p.in, id)
	b, errB := p.redis.TransactionalID(p.ctx, p.in, id)
	for _, d := range []*coordinator.DecidedID{&a, &b} {
		if d.Time, d.Started = 0, 0; len(d.Open) == 0 {
			d.Open = nil
		}
	}
	p.both("transactional id", fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b), errA, errB)
	if a.ID = id; id == "b" {
		return a, coordinator.OldTransactional
	}
	return a, coordinator.Transactional
}

// producer is that of an id, mostly.
func (p *pair) producer(now *coordinator.DecidedID) coordinator.Producer {
	producer := coordinator.Producer{ProducerID: now.ProducerID, Epoch: now.Epoch}
	if rapid.IntRange(0, 9).Draw(p.T, "zombie") == 0 {
		producer.Epoch = max(0, producer.Epoch-1)
	}
	return producer
}

func (p *pair) changeID(t *rapid.T) {
	now, protocol := p.lookID(t)
	producer, c := p.producer(&now), coordinator.Change{ID: segments.ID{2}}
	switch rapid.IntRange(0, 9).Draw(t, "change") {
	case 0, 1:
		c.Fence = &coordinator.Fence{ID: now.ID, TimeoutMillis: 5, NewProducerID: int64(now.ID[0]) + 1000*int64(now.Ordinal)}
		if rapid.IntRange(0, 3).Draw(t, "held") == 0 {
			c.Fence.Held = &producer
		}
	case 2:
		c.Fence = &coordinator.Fence{ID: now.ID, Expired: &coordinator.Expired{Producer: producer, Ordinal: now.Ordinal}}
	case 3, 4, 5:
		c.Add = &coordinator.AddToTransaction{ID: now.ID, Producer: producer, Partitions: []segments.Partition{p.partition()},
			Groups: []string{"g"}}
	case 6:
		c.Forget = &coordinator.ForgetTransactionalID{ID: now.ID, Version: now.Version}
	default:
		lease, err := p.model.Acquire(p.ctx, p.in, "staging", "a", time.Hour)
		if _, errB := p.redis.Acquire(p.ctx, p.in, "staging", "a", time.Hour); err != nil || errB != nil {
			t.Fatal(err, errB)
		}
		p.version += 1000
		c.Stage = &coordinator.StageOffsets{ID: now.ID, Producer: producer, Protocol: protocol, Lease: "staging", Group: "g",
			Epoch: lease.Epoch, Version: p.version, Offsets: []coordinator.GroupOffset{{Partition: p.partition(), Offset: 3}}}
		if rapid.IntRange(0, 5).Draw(t, "lost") == 0 {
			c.Stage.Epoch++
		}
	}
	p.propose(c)
}

// writeTransaction commits batches of an id among others.
func (p *pair) writeTransaction(t *rapid.T) {
	now, protocol := p.lookID(t)
	producer := p.producer(&now)
	req := coordinator.CommitRequest{Segment: segments.NewID(time.Now())}
	position := int64(32)
	for range rapid.IntRange(1, 3).Draw(t, "runs") {
		run := coordinator.CommitRun{Partition: p.partition(), Position: position}
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			b := coordinator.CommitBatch{Length: 10, Records: 2, ProducerID: producer.ProducerID, ProducerEpoch: producer.Epoch,
				BaseSequence: p.sequences[producer.ProducerID], Protocol: protocol}
			if rapid.IntRange(0, 5).Draw(t, "first") == 0 {
				b.BaseSequence = 0
			}
			p.sequences[producer.ProducerID] = b.BaseSequence + 2
			switch rapid.IntRange(0, 9).Draw(t, "other") {
			case 0:
				b.Protocol = coordinator.NotTransactional
			case 1:
				b = p.batch()
				b.Length = 10
			}
			run.Batches = append(run.Batches, b)
			position += 10
		}
		req.Runs = append(req.Runs, run)
	}
	p.requests = append(p.requests, req)
	p.submit(req)
}

// atomic commits atomic requests among others' batches, mostly such as can be written.
func (p *pair) atomic(t *rapid.T) {
	p.T = t
	lease, err := p.model.Acquire(p.ctx, p.in, "staging", "a", time.Hour)
	if _, errB := p.redis.Acquire(p.ctx, p.in, "staging", "a", time.Hour); err != nil || errB != nil {
		t.Fatal(err, errB)
	}
	req := coordinator.CommitRequest{Segment: segments.NewID(time.Now())}
	position := int64(32)
	add := func(at segments.Partition, b coordinator.CommitBatch) {
		req.Runs = append(req.Runs, coordinator.CommitRun{Partition: at, Position: position,
			Batches: []coordinator.CommitBatch{b}})
		position += int64(b.Length)
	}
	for n := range rapid.IntRange(1, 3).Draw(t, "requests") {
		key := &coordinator.RequestKey{ID: [16]byte{1, byte(n), rapid.Byte().Draw(t, "request") % 8},
			Body: [16]byte{rapid.Byte().Draw(t, "body") % 2}, Partitions: 3}
		a := coordinator.Atomic{}
		seen := map[segments.Partition]bool{}
		for range rapid.IntRange(1, 3).Draw(t, "partitions") {
			if rapid.IntRange(0, 3).Draw(t, "between") == 0 {
				add(p.partition(), p.batch())
			}
			if at := p.partition(); !seen[at] && at.Index >= 0 {
				seen[at] = true
				add(at, coordinator.CommitBatch{Length: 10, Records: 2, ProducerID: -1, Key: key, Atomic: n + 1})
				a.Batches++
			}
		}
		if a.Batches == 0 {
			return
		}
		if rapid.IntRange(0, 9).Draw(t, "too few") == 0 {
			a.Batches++
		}
		if rapid.Bool().Draw(t, "offsets") {
			p.version += 1000
			a.Offsets = &coordinator.CommitOffsets{Lease: "staging", Epoch: lease.Epoch, Version: p.version, Group: "g",
				Offsets: []coordinator.GroupOffset{{Partition: segments.Partition{Topic: p.topic()}, Offset: 3, Metadata: "m"}}}
			switch rapid.IntRange(0, 9).Draw(t, "lost") {
			case 0:
				a.Offsets.Epoch++
			case 1:
				a.Offsets.Epoch -= 1 << 32
			case 2:
				a.Offsets.Lease = "nobody's"
			}
		}
		req.Atomic = append(req.Atomic, a)
	}
	p.requests = append(p.requests, req)
	p.submit(req)
}

// endTransaction commits an ending, or one of each id, among others' batches: mostly one that can
// be decided.
func (p *pair) endTransaction(t *rapid.T) {
	req := coordinator.CommitRequest{Segment: segments.NewID(time.Now())}
	position := int64(32)
	for range rapid.IntRange(1, 2).Draw(t, "endings") {
		now, protocol := p.lookID(t)
		if now.Ordinal == 0 || len(req.Endings) > 0 && req.Endings[0].ID == now.ID {
			continue
		}
		producer := p.producer(&now)
		e := coordinator.Ending{Incarnation: p.in, ID: now.ID, Producer: producer, Ordinal: now.Ordinal,
			Result:  coordinator.Aborted,
			ByOwner: now.Aborting, NewProducerID: -1}
		if !now.Aborting {
			e.Bump = protocol == coordinator.Transactional
			e.Result = rapid.SampledFrom([]coordinator.Result{coordinator.Committed, coordinator.Aborted}).Draw(t, "result")
		}
		if rapid.IntRange(0, 9).Draw(t, "earlier") == 0 {
			e.Incarnation--
		}
		req.Endings = append(req.Endings, e)
		marked := slices.Clone(now.Open)
		if len(marked) > 0 && rapid.IntRange(0, 5).Draw(t, "without") == 0 {
			marked = marked[1:]
		}
		if rapid.IntRange(0, 5).Draw(t, "with") == 0 {
			marked = append(marked, p.partition())
		}
		for _, at := range marked {
			run := coordinator.CommitRun{Partition: at, Position: position,
				Batches: []coordinator.CommitBatch{{Length: 78, Records: 1,
					ProducerID: producer.ProducerID, ProducerEpoch: producer.Epoch, BaseSequence: -1, Ending: len(req.Endings)}}}
			if rapid.IntRange(0, 3).Draw(t, "more") == 0 {
				run.Batches = append(run.Batches, p.batch())
			}
			for _, b := range run.Batches {
				position += int64(b.Length)
			}
			req.Runs = append(req.Runs, run)
		}
	}
	if len(req.Endings) == 0 {
		return
	}
	p.requests = append(p.requests, req)
	p.submit(req)
}
