package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firn/coordinator"
	"firn/coordinator/topicconfig"
	"firn/segments/batch"
)

// WriteOption is an option of Direct.Write.
type WriteOption func(*writing)

// writing is one Write on its way.
type writing struct {
	d       *Direct
	topic   string
	records []Record
	spread  uint64
	now     time.Time
}

// run makes batches of the records and has them delivered.
func (w *writing) run(ctx context.Context) ([]Written, error) {
	for again := false; ; again = true {
		topic, err := w.d.lookUp(ctx, w.topic, again)
		if err != nil {
			return nil, w.nothing(err)
		}
		w.now = time.Now()
		packed, err := w.pack(&topic)
		if err != nil {
			return nil, w.nothing(err)
		}
		results, err := w.d.deliver(ctx, batches(packed))
		if err != nil {
			return nil, err
		}
		written, err := w.written(packed, results)
		if errors.Is(err, coordinator.ErrUnknownPartition) && !again { // deleted since it was looked up, and perhaps created anew
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

// pack makes a batch for each partition, as the topic's configs want it.
func (w *writing) pack(topic *knownTopic) ([]Packed, error) {
	packed, err := Pack(w.records, PackOptions{Topic: topic.fact.ID, Partitions: topic.fact.Partitions, Spread: w.spread, Now: w.now.UnixMilli()})
	if err != nil {
		return nil, err
	}
	total := 0
	for i := range packed {
		b := &packed[i].Batch
		if len(b.Bytes) > int(topic.config.MaxMessageBytes) {
			return nil, fmt.Errorf("%w: partition %d gets %d bytes; %s is %d", batch.ErrTooLarge, b.Partition.Index, len(b.Bytes),
				topicconfig.MaxMessageBytes, topic.config.MaxMessageBytes)
		}
		if err := CheckTimestamps(b.Header, &topic.config, w.now); err != nil {
			return nil, err
		}
		if *b, err = w.d.prepare.Prepare(*b, &topic.config, w.now); err != nil {
			return nil, err
		}
		total += len(b.Bytes)
	}
	if total > w.d.opts.MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes; MaxBytes is %d", ErrTooLarge, total, w.d.opts.MaxBytes)
	}
	return packed, nil
}

func batches(packed []Packed) []Batch {
	list := make([]Batch, len(packed))
	for i := range packed {
		list[i] = packed[i].Batch
	}
	return list
}

// written gives each record its place. A batch that the coordinator refused makes all of it fail: they are refused for what is true of all of them.
func (w *writing) written(packed []Packed, results []Result) ([]Written, error) {
	places := make([]Written, len(w.records))
	for i := range packed {
		b, r := &packed[i].Batch, &results[i]
		if r.Err != nil && !errors.Is(r.Err, coordinator.ErrDuplicate) {
			return nil, w.nothing(r.Err)
		}
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
	return places, nil
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
