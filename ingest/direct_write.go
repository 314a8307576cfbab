package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"firn/coordinator"
	"firn/coordinator/topicconfig"
	"firn/segments"
	"firn/segments/batch"
)

// WriteOption is an option of Direct.Write.
type WriteOption func(*writing)

// IdempotencyKey names the request, so that it may be made again, by this process or any other: for a day every further Write to the topic with that key writes nothing,
// and returns where the first one wrote. With other records it fails with coordinator.ErrKeyReused. Every key costs the coordinator's memory for that day, in each partition that is
// written to. Keys are best derived from what caused the Write: the id of a message or event.
func IdempotencyKey(key string) WriteOption {
	return func(w *writing) { w.key = &coordinator.RequestKey{ID: hash16([]byte(key))} }
}

// writing is one Write on its way.
type writing struct {
	d       *Direct
	topic   string
	records []Record
	spread  uint64
	key     *coordinator.RequestKey // nil: none
	now     time.Time               // at which records without a timestamp are
}

// run makes batches of the records and has them delivered.
func (w *writing) run(ctx context.Context) ([]Written, error) {
	if w.key != nil {
		w.key.Body = w.body()
		w.spread = binary.BigEndian.Uint64(w.key.ID[:])
	}
	for again := false; ; again = true {
		topic, err := w.d.lookUp(ctx, w.topic, again)
		if err != nil {
			return nil, w.nothing(err)
		}
		packed, known, err := w.pack(ctx, &topic)
		if err != nil {
			return nil, w.nothing(err)
		}
		results, err := w.d.deliver(ctx, batches(packed))
		if err != nil {
			return nil, err
		}
		written, duplicates, err := w.written(packed, results)
		switch {
		case again:
		case errors.Is(err, coordinator.ErrUnknownPartition): // deleted since it was looked up, and perhaps created anew
			continue
		case duplicates && !known: // another call with this key came between; it may have packed otherwise
			continue
		}
		return written, err
	}
}

// nothing says with err that nothing was written.
func (w *writing) nothing(err error) error {
	if errors.Is(err, ErrNotWritten) {
		return err
	}
	return fmt.Errorf("%w: topic %q: %w", ErrNotWritten, w.topic, err)
}

// pack makes a batch for each partition, as the topic's configs want it. A request that was written before is packed as it was then, because only so its records come to the
// same partitions.
func (w *writing) pack(ctx context.Context, topic *knownTopic) (packed []Packed, known bool, err error) {
	w.now = time.Now()
	o := PackOptions{Topic: topic.fact.ID, Partitions: topic.fact.Partitions, Spread: w.spread, Now: w.now.UnixMilli()}
	if w.key != nil {
		before, err := w.before(ctx, &topic.fact)
		if err != nil {
			return nil, false, err
		}
		if before != nil {
			known = true
			o.Partitions, o.Now, w.now = before.Partitions, before.Timestamp, time.UnixMilli(before.Timestamp)
		}
		key := *w.key
		key.Partitions, key.Timestamp = o.Partitions, o.Now
		o.Key = &key
	}
	if packed, err = Pack(w.records, o); err != nil {
		return nil, false, err
	}
	total := 0
	for i := range packed {
		if err := w.prepare(&packed[i].Batch, &topic.config); err != nil {
			return nil, false, err
		}
		total += len(packed[i].Batch.Bytes)
	}
	if total > w.d.opts.MaxBytes {
		return nil, false, fmt.Errorf("%w: %d bytes; MaxBytes is %d", ErrTooLarge, total, w.d.opts.MaxBytes)
	}
	return packed, known, nil
}

// prepare checks a batch against its topic's configs and makes of it what is to be stored.
func (w *writing) prepare(b *Batch, config *topicconfig.Config) error {
	if len(b.Bytes) > int(config.MaxMessageBytes) {
		return fmt.Errorf("%w: partition %d gets %d bytes; %s is %d", batch.ErrTooLarge, b.Partition.Index, len(b.Bytes),
			topicconfig.MaxMessageBytes, config.MaxMessageBytes)
	}
	if err := CheckTimestamps(b.Header, config, w.now); err != nil {
		return err
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

// body is a hash of all that the caller asks for.
func (w *writing) body() [16]byte {
	var b []byte
	field := func(v []byte) {
		b = binary.AppendVarint(b, int64(len(v)))
		if v == nil {
			b = binary.AppendVarint(b, -1) // null is not empty
		}
		b = append(b, v...)
	}
	for i := range w.records {
		r := &w.records[i]
		b = binary.AppendVarint(b, int64(max(r.Partition, -1)))
		b = binary.AppendVarint(b, max(r.Timestamp, -1))
		field(r.Key)
		field(r.Value)
		b = binary.AppendVarint(b, int64(len(r.Headers)))
		for _, h := range r.Headers {
			field([]byte(h.Key))
			field(h.Value)
		}
	}
	return hash16(b)
}

func hash16(b []byte) [16]byte {
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

func batches(packed []Packed) []Batch {
	list := make([]Batch, len(packed))
	for i := range packed {
		list[i] = packed[i].Batch
	}
	return list
}

// written gives each record its place. A batch that the coordinator refused makes all of it fail: they are refused for what is true of all of them.
func (w *writing) written(packed []Packed, results []Result) (places []Written, duplicates bool, err error) {
	places = make([]Written, len(w.records))
	for i := range packed {
		b, r := &packed[i].Batch, &results[i]
		duplicate := errors.Is(r.Err, coordinator.ErrDuplicate)
		if r.Err != nil && !duplicate {
			return nil, false, w.nothing(r.Err)
		}
		duplicates = duplicates || duplicate
		for n, index := range packed[i].Records {
			at := Written{Partition: b.Partition.Index, Offset: r.BaseOffset + int64(n), Timestamp: w.records[index].Timestamp}
			switch {
			case b.Header.Attributes.LogAppendTime():
				at.Timestamp = b.Header.MaxTimestamp
			case at.Timestamp < 0:
				at.Timestamp = w.now.UnixMilli()
			}
			places[index] = at
		}
	}
	return places, duplicates, nil
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
