package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// WriteOption is an option of Direct.Write.
type WriteOption func(*Request)

// IdempotencyKey names the request, so that it may be made again, by this process or any other: for
// a day every further Write to the topic with that key writes nothing, and returns where the first
// one wrote. With other records it fails with coordinator.ErrKeyReused. Every key costs the
// coordinator's memory for that day, in each partition that is written to. Keys are best derived
// from what caused the Write: the id of a message or event.
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
	before *coordinator.RequestKey // as it was when it was written before; nil: it was not
	now    time.Time               // at which records without a timestamp are
	packed []Packed
	known  bool // it was written before
	begun  bool // some of it is written, by this try or another
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

// write writes the requests in one segment. Those that turn out to need another try, because their
// topic was created anew or because another process wrote them at the same moment, and perhaps
// packed them otherwise, get one.
func (d *Direct) write(ctx context.Context, topic string, requests []*writing) error {
	for _, again := range []bool{false, true} {
		results, err := d.try(ctx, topic, requests, again)
		if err != nil {
			return giveUp(requests, err)
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

// try puts and commits what is not done, once.
func (d *Direct) try(ctx context.Context, topic string, requests []*writing, again bool) ([]Result, error) {
	known, err := d.lookUp(ctx, topic, again)
	if err != nil {
		return nil, nothing(topic, err)
	}
	batches, err := d.packAll(ctx, &known, requests)
	if err != nil {
		return nil, nothing(topic, err)
	}
	return d.deliver(ctx, batches)
}

// giveUp answers the requests that are not done with err. It returns err instead if nothing is
// known to be written of any.
func giveUp(requests []*writing, err error) error {
	if !slices.ContainsFunc(requests, func(w *writing) bool { return w.begun }) {
		return err
	}
	for _, w := range requests {
		if !w.done {
			w.refuse(err)
		}
	}
	return nil
}

// nothing says with err that nothing was written.
func nothing(topic string, err error) error {
	return fmt.Errorf("%w: topic %q: %w", ErrNotWritten, topic, err)
}

// packAll makes the batches of all requests that are not done. Those that cannot be written are
// done now, and with them those behind them in their groups.
func (d *Direct) packAll(ctx context.Context, topic *knownTopic, requests []*writing) ([]Batch, error) {
	var list []Batch
	total := 0
	failed := map[string]bool{}
	if err := d.recall(ctx, topic.fact.ID, requests); err != nil {
		return nil, err
	}
	for _, w := range requests {
		switch {
		case w.done:
		case failed[w.Group]:
			w.fail(topic.fact.Name, ErrBehind)
		default:
			if err := w.pack(topic); err != nil {
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

func (w *writing) fail(topic string, err error) { w.refuse(nothing(topic, err)) }

// refuse ends the request with an error, which does not say that nothing is written if something
// is.
func (w *writing) refuse(err error) {
	if w.begun {
		err = fmt.Errorf("%w, at least in part: %v", ErrInDoubt, err)
	}
	w.Outcome, w.done = Outcome{Err: err}, true
}

// recall looks up which of the requests that are not done were written before, all at once. The
// topic knows, whatever it was when they were written.
func (d *Direct) recall(ctx context.Context, topic segments.TopicID, requests []*writing) error {
	var keyed []*writing
	var ids [][16]byte
	for _, w := range requests {
		if !w.done && w.key != nil {
			keyed, ids = append(keyed, w), append(ids, w.key.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	before, err := d.guest.Keyed(ctx, topic, ids...)
	if err != nil {
		return err
	}
	for i, w := range keyed {
		w.before, w.known = before[i], before[i] != nil
	}
	return nil
}

// pack makes a batch for each partition, as the topic's configs want it. A request that was written
// before is packed as it was then, because only so its records come to the same partitions.
func (w *writing) pack(topic *knownTopic) (err error) {
	w.now = time.Now()
	o := PackOptions{Topic: topic.fact.ID, Partitions: topic.fact.Partitions, Spread: w.spread, Now: w.now.UnixMilli()}
	if w.key != nil {
		if b := w.before; b != nil {
			if b.Body != w.key.Body {
				return coordinator.ErrKeyReused
			}
			o.Partitions, o.Now, w.now = b.Partitions, b.Timestamp, time.UnixMilli(b.Timestamp)
		}
		key := *w.key
		key.Partitions, key.Timestamp = o.Partitions, o.Now
		o.Key = &key
	}
	if w.packed, err = Pack(w.Records, o); err != nil {
		return err
	}
	for i := range w.packed {
		// The coordinator knows a batch that was written before, and it is not written again, so today's
		// configs do not matter to it.
		if err := w.prepare(&w.packed[i].Batch, &topic.config); err != nil && !w.known {
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

// take takes the answers in. It returns false if the request needs another try.
func (w *writing) take(topic string, results []Result, again bool) bool {
	results = results[w.first : w.first+len(w.packed)]
	stale, refused := false, error(nil)
	for i := range results {
		switch err := results[i].Err; {
		case err == nil:
			w.begun = true
		case errors.Is(err, coordinator.ErrDuplicate):
			w.begun, stale = true, stale || !w.known
		default:
			stale = stale || errors.Is(err, coordinator.ErrUnknownPartition) || errors.Is(err, coordinator.ErrOtherPartitions)
			refused = err
		}
	}
	switch {
	case stale && !again:
		return false
	case refused != nil:
		w.fail(topic, refused)
		return true
	}
	w.place(results)
	return true
}

// place notes where the records are.
func (w *writing) place(results []Result) {
	places := make([]Written, len(w.Records))
	for i := range w.packed {
		b, r := &w.packed[i], &results[i]
		for n, index := range b.Records {
			at := Written{Partition: b.Batch.Partition.Index, Offset: r.BaseOffset + int64(n),
				Timestamp: w.Records[index].Timestamp}
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
