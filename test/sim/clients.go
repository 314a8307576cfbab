package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firn.dev/coordinator"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// client is somebody outside who works with the cluster.
type client struct {
	w    *world
	name string
	n    int // decisions so far
	seq  int // records so far
}

func (w *world) newClient(name string) *client { return &client{w: w, name: name} }

// dice is for one more decision.
func (c *client) dice() dice {
	c.n++
	return dice{c.w.plan.Seed, fmt.Sprint(c.name, " ", c.n)}
}

// think waits between two requests. It says whether to go on.
func (c *client) think() bool {
	d := c.dice()
	most := c.w.plan.Length / 12 // so that a long simulation is not a large one
	wait := d.between("think", time.Millisecond, most)
	if d.chance("long", 0.1) {
		wait = d.between("long", most, 4*most)
	}
	return c.w.sleep(wait, c.w.judge.over)
}

// node picks a node that runs, and waits for one.
func (c *client) node(ctx context.Context) (*instance, error) {
	return c.w.nodes[c.dice().n("node", len(c.w.nodes))].instance(ctx)
}

// records names n records.
func (c *client) records() []string {
	names := make([]string, 1+c.dice().n("records", 3))
	for i := range names {
		c.seq++
		names[i] = fmt.Sprint(c.name, ".", c.seq)
	}
	return names
}

// keyOf is the key of a record in a compacted topic. Records of several clients share it.
func keyOf(record string) string {
	_, number, _ := strings.Cut(record, ".")
	n, _ := strconv.Atoi(number)
	return fmt.Sprint("k", n%5)
}

func bytesOf(names []string, o batch.Options) ([]byte, batch.Header) {
	records := make([]batch.Record, len(names))
	now := time.Now().UnixMilli()
	for i, n := range names {
		records[i] = batch.Record{Timestamp: now, Key: []byte(keyOf(n)), Value: []byte(n)}
	}
	b, err := batch.Build(records, o)
	if err != nil {
		panic(err)
	}
	h, err := batch.Check(b)
	if err != nil {
		panic(err)
	}
	return b, h
}

// errUnknownHere is what a node answers that does not know the topic, perhaps not yet. Clients try
// again.
var errUnknownHere = errors.New("this node does not know the topic")

// append has a node write a batch, as the handler of Produce does.
func (i *instance) append(ctx context.Context, b ingest.Batch) (ingest.Result, error) {
	return serve(ctx, i, func(ctx context.Context) (ingest.Result, error) {
		if _, known := i.member.View().Partition(b.Partition); !known {
			return ingest.Result{}, errUnknownHere
		}
		pending, err := i.writer.Append(ctx, []ingest.Batch{b})
		if err != nil {
			return ingest.Result{}, err
		}
		results, err := pending.Wait(ctx)
		if err != nil {
			return ingest.Result{}, err
		}
		return results[0], nil
	})
}

// requestTime is how long clients wait for an answer.
const requestTime = 20 * time.Second

// partition picks a partition of the topic as a node knows it.
func (c *client) partition(i *instance) (segments.Partition, bool) {
	t := i.member.View().Topic(topicName)
	if t == nil {
		return segments.Partition{}, false
	}
	return segments.Partition{Topic: t.ID, Index: int32(c.dice().n("partition", int(t.Partitions)))}, true
}

// plain is a producer that is not idempotent: it tries each batch once.
func (c *client) plain() {
	for c.think() {
		i, err := c.node(c.w.ctx)
		if err != nil {
			return
		}
		at, there := c.partition(i)
		if !there {
			continue
		}
		names := c.records()
		b, h := bytesOf(names, batch.NoProducer(batch.None))
		w := c.w.judge.sends(at, names)
		ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
		r, err := i.append(ctx, ingest.Batch{Partition: at, Header: h, Bytes: b})
		cancel()
		if err == nil {
			err = r.Err
		}
		switch {
		case err == nil:
			c.w.judge.acknowledges(c.name, w, r.BaseOffset)
		case errors.Is(err, ingest.ErrClosed), errors.Is(err, ingest.ErrNotWritten):
			c.w.judge.refuses(c.name, w, err)
		default:
			c.w.judge.gaveUp(w)
		}
	}
}

// idempotent is a producer that tries each batch until it is answered, at one node after the other,
// as Kafka's clients do.
func (c *client) idempotent() {
	id, ok := c.producerID()
	sequences := map[segments.Partition]int32{}
	for ok && c.think() {
		i, err := c.node(c.w.ctx)
		if err != nil {
			return
		}
		at, there := c.partition(i)
		if !there {
			continue
		}
		names := c.records()
		b, h := bytesOf(names, batch.Options{ProducerID: id, BaseSequence: sequences[at]})
		if ok = c.insist(c.w.judge.sends(at, names), ingest.Batch{Partition: at, Header: h, Bytes: b}, c.w.ctx); ok {
			sequences[at] += int32(len(names))
		}
	}
}

func (c *client) producerID() (int64, bool) {
	for c.w.ctx.Err() == nil {
		i, err := c.node(c.w.ctx)
		if err != nil {
			return 0, false
		}
		ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
		id, err := serve(ctx, i, i.member.ProducerID)
		cancel()
		if err == nil {
			return id, true
		}
		c.w.sleepAlways(200 * time.Millisecond)
	}
	return 0, false
}

// insist tries a batch until it is answered. It says whether it was written: if its topic is gone
// it was not.
func (c *client) insist(w *write, b ingest.Batch, ctx context.Context) bool {
	for ctx.Err() == nil {
		i, err := c.node(ctx)
		if err != nil {
			break
		}
		again := b
		again.Bytes = slices.Clone(b.Bytes)
		trying, cancel := context.WithTimeout(ctx, requestTime)
		r, err := i.append(trying, again)
		cancel()
		if err == nil {
			err = r.Err
		}
		c.w.trace("%s: %s writes %v, sequence %d, to %s: offset %d, %v", c.name, i.name, w.records, b.Header.BaseSequence,
			b.Partition, r.BaseOffset, err)
		switch {
		case err == nil, errors.Is(err, coordinator.ErrDuplicate):
			c.w.judge.acknowledges(c.name, w, r.BaseOffset)
			return true
		case errors.Is(err, errUnknownHere) && c.w.admin != nil && c.w.topicID() != b.Partition.Topic:
			c.w.judge.gaveUp(w) // it is another topic now
			return false
		case errors.Is(err, coordinator.ErrUnknownPartition):
			if c.w.admin == nil {
				c.w.judge.violation("%s is told by node%d of %v, and no topic was ever deleted", c.name, i.member.Info().ID, err)
			}
			c.w.judge.gaveUp(w)
			return false
		case errors.Is(err, coordinator.ErrOutOfOrder), errors.Is(err, coordinator.ErrProducerEpoch):
			c.w.judge.violation("P4: %s is told by node%d of %v", c.name, i.member.Info().ID, err)
			return false
		}
		c.w.sleepAlways(c.dice().between("again", 20*time.Millisecond, 500*time.Millisecond))
	}
	c.w.judge.gaveUp(w)
	return false
}

// consumer reads on one node: what comes at the tail, and now and then all from the beginning.
func (c *client) consumer(n *node) {
	next := map[segments.Partition]int64{}
	for c.think() {
		i, err := n.instance(c.w.ctx)
		if err != nil {
			return
		}
		if c.dice().chance("from the beginning", 0.1) {
			clear(next)
		}
		for _, t := range i.member.View().Topics() {
			for p := range t.Partitions {
				at := segments.Partition{Topic: t.ID, Index: p}
				next[at] = c.read(i, at, next[at])
			}
		}
	}
}

// read reads once, from an offset on, and returns the next.
func (c *client) read(i *instance, at segments.Partition, from int64) int64 {
	ctx, cancel := context.WithTimeout(c.w.ctx, requestTime)
	defer cancel()
	call := c.w.judge.now()
	info, known := i.member.View().Partition(at)
	if !known {
		return from
	}
	from = max(from, info.LogStart)
	if from > info.HighWatermark {
		c.w.judge.violation("P2: %s ended %s at %d, and ends it at %d now", c.name, at, from, info.HighWatermark)
	}
	offsets, records, err := i.fetch(ctx, at, from, 1<<20)
	if err != nil || len(offsets) == 0 {
		return from
	}
	c.w.judge.serves(c.name, at, call, offsets, records)
	return offsets[len(offsets)-1] + 1
}

// fetch has a node read records.
func (i *instance) fetch(ctx context.Context, at segments.Partition, from int64,
	most int) (offsets []int64, records []string, err error) {
	batches, err := serve(ctx, i, func(ctx context.Context) ([][]byte, error) {
		chunk, err := i.index.Read(ctx, at, from, most, true)
		return chunk.Batches, err
	})
	if err != nil {
		return nil, nil, err
	}
	return values(batches, from)
}

// values takes batches apart.
func values(batches [][]byte, from int64) (offsets []int64, records []string, err error) {
	for _, some := range batches {
		for h, err := range batch.All(some) {
			if err != nil {
				return nil, nil, err
			}
			for r, err := range batch.Records(some[:h.Size()], 1<<20) {
				if err != nil {
					return nil, nil, err
				}
				if r.Offset >= from {
					offsets, records = append(offsets, r.Offset), append(records, string(r.Value))
				}
			}
			some = some[h.Size():]
		}
	}
	return offsets, records, nil
}
