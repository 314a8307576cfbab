package rest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/budget"
	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/tracing"
)

// producers is what requests that write share.
type producers struct {
	memory   *budget.Pool
	configs  topicconfig.Cache
	preparer ingest.Preparer
	keys     keysInFlight
	metrics  *produceMetrics
}

func newProducers(opts Options) *producers {
	p := &producers{
		memory:   newRequestMemory(opts.Limits),
		preparer: ingest.Preparer{CompressPlain: !opts.KeepPlain, MaxDecompressed: 2 * opts.Limits.MaxBodyBytes},
	}
	p.metrics = newProduceMetrics(opts.Registerer, p.memory)
	return p
}

// writeRequest is records that are to be written to a topic.
type writeRequest struct {
	name    string             // of the topic
	topic   *coordinator.Topic // nil: it is created when the records are known to be such as it takes
	records []ingest.Record
	key     string // of the request; empty: none
	memory  *share // given back once the records are batches that the writer holds

	config topicconfig.Config
	now    time.Time
	spread uint64
	id     *coordinator.RequestKey // made of key; nil: none

	timestamps []int64 // of the records, once those are the writer's; negative: now
}

// written is what became of one record.
type written struct {
	partition         int32
	offset, timestamp int64
	err               *problem // why it is not written, or not known to be
}

// writtenRequest is what became of a writeRequest.
type writtenRequest struct {
	records  []written // in the order of the request
	replayed bool      // an earlier try had written all of it
}

// failed says why some of the records are not written; nil if all are.
func (w *writtenRequest) failed() error {
	done := 0
	var first *problem
	for i := range w.records {
		switch err := w.records[i].err; {
		case err == nil:
			done++
		case first == nil:
			first = err
		}
	}
	if first == nil {
		return nil
	}
	p := *first
	if done > 0 {
		p.Detail += fmt.Sprintf("; %d of %d records are written: those of other partitions", done, len(w.records))
	}
	return &p
}

// newWriteRequest is a request to write to the topic that producers name: one that exists, or that
// may be created.
func (s *Server) newWriteRequest(r *http.Request) (*writeRequest, error) {
	name := r.PathValue("topic")
	topic, err := s.topicNamed(name)
	switch {
	case err == nil:
	case !s.opts.Topics.AutoCreate:
		return nil, err
	default:
		if err := s.topics.Plan().CheckName(name); err != nil {
			return nil, refuse(http.StatusUnprocessableEntity, "topic", "%v", err)
		}
		if err := s.mayCreateTopic(r, name); err != nil {
			return nil, err
		}
		if err := s.mutates(r, s.topics.Draft(name).Partitions); err != nil {
			return nil, err
		}
	}
	return &writeRequest{name: name, topic: topic}, nil
}

// createFor creates the topic of a request, unless it would not take the records.
func (s *Server) createFor(ctx context.Context, w *writeRequest) error {
	trial := writeRequest{topic: s.topics.Draft(w.name), records: w.records,
		config: topicconfig.Default(), now: time.Now()}
	if err := trial.check(allRecords(&trial)); err != nil {
		return err
	}
	if _, err := s.pack(&trial, trial.topic.Partitions); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Limits.WriteTimeout)
	defer cancel()
	var err error
	w.topic, err = s.topics.Ensure(ctx, w.name)
	return err
}

// write writes the records of a request and returns once they are durable. An error means that
// nothing was written.
func (s *Server) write(ctx context.Context, w *writeRequest) (*writtenRequest, error) {
	if len(w.records) == 0 {
		return &writtenRequest{}, nil
	}
	if w.topic == nil {
		if err := s.createFor(ctx, w); err != nil {
			return nil, err
		}
	}
	w.now, w.config = time.Now(), s.producers.configs.Of(w.topic)
	if w.key != "" {
		return s.writeOnce(ctx, w)
	}
	if err := w.check(allRecords(w)); err != nil {
		return nil, err
	}
	w.spread = rand.Uint64()
	packed, err := s.pack(w, w.topic.Partitions)
	if err != nil {
		return nil, err
	}
	done := &writtenRequest{records: make([]written, len(w.records))}
	err = s.deliver(ctx, w, packed, done)
	return done, err
}

// allRecords are the indexes of the records of a request.
func allRecords(w *writeRequest) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range w.records {
			if !yield(i) {
				return
			}
		}
	}
}

// check refuses records, by index, that the topic does not take, and names them.
func (w *writeRequest) check(which iter.Seq[int]) error {
	var first *problem
	var bad []badRecord
	for i := range which {
		p := w.checkRecord(&w.records[i])
		if p == nil {
			continue
		}
		if first == nil {
			first, p.Record = p, &i
		}
		if bad = append(bad, badRecord{i, p.Field, p.Code, p.Detail}); len(bad) == maxBadRecords {
			break
		}
	}
	switch {
	case first == nil:
		return nil
	case len(bad) > 1:
		first.BadRecords = bad
	}
	return first
}

func (w *writeRequest) checkRecord(r *ingest.Record) *problem {
	wrong := func(field string, code *kerr.Error, format string, args ...any) *problem {
		p := refuse(http.StatusUnprocessableEntity, field, format, args...)
		p.Code = code.Message
		return p
	}
	if r.Partition >= w.topic.Partitions {
		return wrong("partition", kerr.UnknownTopicOrPartition, "topic %q has %d partitions, and none of number %d",
			w.topic.Name, w.topic.Partitions, r.Partition)
	}
	if w.config.Compact && r.Key == nil {
		return wrong("key", kerr.InvalidRecord, "topic %q: %v", w.topic.Name, ingest.ErrNoKey)
	}
	if err := ingest.CheckTimestamp(r.Timestamp, &w.config, w.now); err != nil {
		return wrong("timestamp", kerr.InvalidTimestamp, "%v", err)
	}
	return nil
}

// pack makes the batches of a request for a topic of so many partitions, as they are to be stored.
func (s *Server) pack(w *writeRequest, partitions int32) ([]ingest.Packed, error) {
	packed, err := w.split(partitions)
	if err == nil {
		err = s.prepare(w, packed)
	}
	return packed, err
}

// split makes the batches of a request for a topic of so many partitions, whatever its configs are.
func (w *writeRequest) split(partitions int32) ([]ingest.Packed, error) {
	return ingest.Pack(w.records, ingest.PackOptions{
		Topic: w.topic.ID, Partitions: partitions, Spread: w.spread, Now: w.now.UnixMilli(), Key: w.id,
	})
}

// prepare makes of batches what is to be stored.
func (s *Server) prepare(w *writeRequest, packed []ingest.Packed) (err error) {
	for i := range packed {
		b := &packed[i].Batch
		if len(b.Bytes) > int(w.config.MaxMessageBytes) {
			p := refuse(http.StatusRequestEntityTooLarge, "",
				"the records for partition %d are a batch of %d bytes; %s of topic %q is %d",
				b.Partition.Index, len(b.Bytes), topicconfig.MaxMessageBytes, w.topic.Name, w.config.MaxMessageBytes)
			p.Limit, p.Code = topicconfig.MaxMessageBytes, kerr.MessageTooLarge.Message
			return p
		}
		if *b, err = s.producers.preparer.Prepare(*b, &w.config, w.now); errors.Is(err, batch.ErrTooLarge) {
			p := refuse(http.StatusRequestEntityTooLarge, "", "%v", err)
			p.Limit = "max.decompressed.message.bytes"
			return p
		} else if err != nil {
			return err
		}
	}
	return nil
}

// deliver hands batches to the writer, waits until they are durable, and notes what became of their
// records.
func (s *Server) deliver(ctx context.Context, w *writeRequest, packed []ingest.Packed, done *writtenRequest) error {
	pending, err := s.hand(ctx, packed)
	if err != nil {
		return err
	}
	w.forget()
	w.memory.shrink(recordOverhead * int64(len(w.timestamps)))
	s.settle(ctx, w, pending, packed, done)
	return nil
}

// forget lets go of the records: from now on they are the writer's.
func (w *writeRequest) forget() {
	w.timestamps = make([]int64, len(w.records))
	for i := range w.records {
		w.timestamps[i] = w.records[i].Timestamp
	}
	w.records = nil
}

// hand hands batches to the writer. While its buffer is full it waits a little, and then tells the
// client to come again.
func (s *Server) hand(ctx context.Context, packed []ingest.Packed) (*ingest.Pending, error) {
	batches := make([]ingest.Batch, len(packed))
	for i := range packed {
		batches[i] = packed[i].Batch
		packed[i].Batch.Bytes = nil
	}
	waiting, cancel := context.WithTimeout(ctx, s.opts.Limits.BusyWait)
	defer cancel()
	client := s.opts.Writer.Client(addressFrom(ctx))
	defer client.Close()
	pending, err := s.opts.Writer.AppendOf(waiting, client, batches)
	switch {
	case err == nil:
		return pending, nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return nil, full("buffer-bytes", "the write buffer is full; nothing was written")
	case errors.Is(err, ingest.ErrTooLarge):
		p := refuse(http.StatusRequestEntityTooLarge, "", "%v", err)
		p.Limit = "buffer-bytes"
		return nil, p
	}
	return nil, unwritten(err)
}

// settle waits for batches and notes what became of their records.
func (s *Server) settle(ctx context.Context, w *writeRequest, pending *ingest.Pending, packed []ingest.Packed,
	done *writtenRequest) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Limits.WriteTimeout)
	defer cancel()
	results, err := pending.Wait(ctx)
	addStages(tracing.FromContext(ctx), pending)
	for i := range packed {
		b := &packed[i]
		result := ingest.Result{Err: ingest.ErrInDoubt}
		if err == nil {
			result = results[i]
		}
		now := w.now.UnixMilli()
		switch {
		case result.Err == nil:
			s.producers.metrics.records.Add(float64(len(b.Records)))
		case errors.Is(result.Err, coordinator.ErrDuplicate): // another node was faster
			now = s.timestampOf(w, b.Batch.Partition, now)
		default:
			done.fail(b, unwritten(result.Err))
			continue
		}
		done.place(b, result.BaseOffset, w.timestamps, now, w.config.LogAppendTime)
	}
}

// fail notes why the records of a batch are not written.
func (w *writtenRequest) fail(b *ingest.Packed, err *problem) {
	for _, record := range b.Records {
		w.records[record].err = err
	}
}

// place notes where the records of a batch are. Those without a timestamp have now, and with log
// append time all have.
func (w *writtenRequest) place(b *ingest.Packed, base int64, timestamps []int64, now int64, appendTime bool) {
	for n, record := range b.Records {
		at := written{partition: b.Batch.Partition.Index, offset: base + int64(n), timestamp: timestamps[record]}
		if at.timestamp < 0 || appendTime {
			at.timestamp = now
		}
		w.records[record] = at
	}
}

// timestampOf is the time that the try of a request had that was written to a partition.
func (s *Server) timestampOf(w *writeRequest, at segments.Partition, otherwise int64) int64 {
	for _, k := range s.view().Keyed(w.topic.ID, w.id.ID) {
		if k.Partition == at {
			return k.Timestamp
		}
	}
	return otherwise
}

// unwritten is the answer to a client when ingest did not write a batch.
func unwritten(err error) *problem {
	switch {
	case errors.Is(err, coordinator.ErrKeyReused):
		return keyReused()
	case errors.Is(err, coordinator.ErrOtherPartitions): // the topic has grown since it was packed
		return underWay()
	case errors.Is(err, coordinator.ErrUnknownPartition), errors.Is(err, coordinator.ErrUnknownTopic):
		return notFound(kerr.UnknownTopicOrPartition, "the topic was deleted")
	case ingest.ClassOf(err) != coordinator.ClassInDoubt:
		p := retryable(*refuse(http.StatusServiceUnavailable, "", "nothing was written: %v", err))
		return &p
	}
	p := refuse(http.StatusGatewayTimeout, "", "the records may or may not be written; ask again with the same "+
		"Idempotency-Key, and they are written once (%v)", err)
	p.Code = kerr.RequestTimedOut.Message
	return p
}
