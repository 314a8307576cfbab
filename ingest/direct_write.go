package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"firn/coordinator"
	"firn/coordinator/topicconfig"
	"firn/segments"
	"firn/segments/batch"
)

// WriteOption is an option of Direct.Write.
type WriteOption func(*Request)

// IdempotencyKey names the request, so that it may be made again, by this process or any other: for a day every further Write to the topic with that key writes nothing,
// and returns where the first one wrote. With other records it fails with coordinator.ErrKeyReused. Every key costs the coordinator's memory for that day, in each partition that is
// written to. Keys are best derived from what caused the Write: the id of a message or event.
func IdempotencyKey(key string) WriteOption {
	return func(r *Request) { r.Key = key }
}

// Request is records that are written together, or not at all.
type Request struct {
	Records []Record
	Key     string // see IdempotencyKey; empty: none
	Group   string // if one of a group cannot be written none behind it is; empty: it is in no group
}

// Outcome is what became of a Request.
type Outcome struct {
	Written []Written // where its records are; nil if Err is set
	Err     error     // why it is not written
}

// ErrBehind says that a request was not tried because one before it in its group cannot be written.
var ErrBehind = errors.New("another request of its group, before it, is not written")

// writing is one request on its way.
type writing struct {
	Request
	d      *Direct
	spread uint64
	key    *coordinator.RequestKey // nil: none
	now    time.Time               // at which records without a timestamp are
	packed []Packed
	known  bool // it was written before
	first  int  // which of all batches is its first
	done   bool
	Outcome
}

func (d *Direct) begin(r Request) *writing {
	w := &writing{d: d, Request: r, spread: rand.Uint64()}
	if r.Key != "" {
		key := NewRequestKey(r.Key, r.Records)
		w.key, w.spread = &key, SpreadOf(&key)
	}
	return w
}

// write writes the requests in one segment. Those that turn out to need another try, because their topic was created anew or because another process
// wrote them at the same moment, and perhaps packed them otherwise, get one.
func (d *Direct) write(ctx context.Context, topic string, requests []*writing) error {
	for _, again := range []bool{false, true} {
		known, err := d.lookUp(ctx, topic, again)
		if err != nil {
			return nothing(topic, err)
		}
		batches, err := d.packAll(ctx, &known, requests)
		if err != nil {
			return nothing(topic, err)
		}
		results, err := d.deliver(ctx, batches)
		if err != nil {
			return err
		}
		left := 0
		for _, w := range requests {
			if !w.done && !w.take(topic, results, again) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
	}
	return nil
}

// nothing says with err that nothing was written.
func nothing(topic string, err error) error {
	return fmt.Errorf("%w: topic %q: %w", ErrNotWritten, topic, err)
}

// packAll makes the batches of all requests that are not done. Those that cannot be written are done now, and with them those behind them in their groups.
func (d *Direct) packAll(ctx context.Context, topic *knownTopic, requests []*writing) ([]Batch, error) {
	var list []Batch
	total := 0
	failed := map[string]bool{}
	for _, w := range requests {
		switch {
		case w.done:
		case failed[w.Group]:
			w.fail(topic.fact.Name, ErrBehind)
		default:
			if err := w.pack(ctx, topic); ctx.Err() != nil || errors.Is(err, coordinator.ErrFenced) || errors.Is(err, coordinator.ErrOtherCluster) {
				return nil, err
			} else if err != nil {
				w.fail(topic.fact.Name, err)
				break
			}
			w.first = len(list)
			for i := range w.packed {
				list = append(list, w.packed[i].Batch)
				total += len(w.packed[i].Batch.Bytes)
			}
		}
		failed[w.Group] = failed[w.Group] || w.Group != "" && w.Err != nil
	}
	if total > d.opts.MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes; MaxBytes is %d", ErrTooLarge, total, d.opts.MaxBytes)
	}
	return list, nil
}

func (w *writing) fail(topic string, err error) {
	w.Outcome, w.done = Outcome{Err: nothing(topic, err)}, true
}

// pack makes a batch for each partition, as the topic's configs want it. A request that was written before is packed as it was then, because only so its records come to the
// same partitions.
func (w *writing) pack(ctx context.Context, topic *knownTopic) (err error) {
	w.now = time.Now()
	o := PackOptions{Topic: topic.fact.ID, Partitions: topic.fact.Partitions, Spread: w.spread, Now: w.now.UnixMilli()}
	if w.key != nil {
		before, err := w.before(ctx, &topic.fact)
		if err != nil {
			return err
		}
		if before != nil {
			w.known = true
			o.Partitions, o.Now, w.now = before.Partitions, before.Timestamp, time.UnixMilli(before.Timestamp)
		}
		key := *w.key
		key.Partitions, key.Timestamp = o.Partitions, o.Now
		o.Key = &key
	}
	if w.packed, err = Pack(w.Records, o); err != nil {
		return err
	}
	for i := range w.packed {
		if err := w.prepare(&w.packed[i].Batch, &topic.config); err != nil {
			return w.packed[i].inRequest(err)
		}
	}
	return nil
}

// prepare checks a batch against its topic's configs and makes of it what is to be stored.
func (w *writing) prepare(b *Batch, config *topicconfig.Config) error {
	if len(b.Bytes) > int(config.MaxMessageBytes) {
		return fmt.Errorf("%w: partition %d gets %d bytes; %s is %d", batch.ErrTooLarge, b.Partition.Index, len(b.Bytes),
			topicconfig.MaxMessageBytes, config.MaxMessageBytes)
	}
	prepared, err := w.d.prepare.Prepare(*b, config, w.now)
	*b = prepared
	return err
}

// before looks whether a request with this key was written before; nil if not.
func (w *writing) before(ctx context.Context, topic *coordinator.TopicFact) (*coordinator.Keyed, error) {
	all := make([]segments.Partition, topic.Partitions)
	for i := range all {
		all[i] = segments.Partition{Topic: topic.ID, Index: int32(i)}
	}
	found, err := w.d.guest.Keyed(ctx, all, w.key.ID)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	for i := range found {
		if found[i].Body != w.key.Body {
			return nil, coordinator.ErrKeyReused
		}
	}
	return &found[0], nil
}

// take takes the answers in. It returns false if the request needs another try.
func (w *writing) take(topic string, results []Result, again bool) bool {
	results = results[w.first : w.first+len(w.packed)]
	places := make([]Written, len(w.Records))
	for i := range w.packed {
		b, r := &w.packed[i], &results[i]
		duplicate := errors.Is(r.Err, coordinator.ErrDuplicate)
		switch {
		case !again && (duplicate && !w.known || errors.Is(r.Err, coordinator.ErrUnknownPartition)):
			return false
		case r.Err != nil && !duplicate: // what one partition refuses, all do
			w.fail(topic, r.Err)
			return true
		}
		for n, index := range b.Records {
			at := Written{Partition: b.Batch.Partition.Index, Offset: r.BaseOffset + int64(n), Timestamp: w.Records[index].Timestamp}
			switch {
			case b.Batch.Header.Attributes.LogAppendTime():
				at.Timestamp = b.Batch.Header.MaxTimestamp
			case at.Timestamp < 0:
				at.Timestamp = w.now.UnixMilli()
			}
			places[index] = at
		}
	}
	w.Outcome, w.done = Outcome{Written: places}, true
	return true
}

// lookUp returns what is known of a topic, and asks if nothing is, or nothing fresh.
func (d *Direct) lookUp(ctx context.Context, name string, fresh bool) (knownTopic, error) {
	if t, known := d.topics[name]; known && !fresh && coordinator.Elapsed(t.at, time.Now()) < d.opts.TopicLifetime {
		return t, nil
	}
	fact, err := d.guest.Topic(ctx, name)
	if err != nil {
		delete(d.topics, name)
		return knownTopic{}, err
	}
	config, _ := topicconfig.Parse(fact.Configs) // with defaults for what an older or newer version let pass
	if len(d.topics) >= maxKnownTopics {
		clear(d.topics)
	}
	d.topics[name] = knownTopic{fact, config, time.Now()}
	return d.topics[name], nil
}
