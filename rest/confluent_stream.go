package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/ingest"
)

var errObjects = errors.New("records have to be JSON objects, one after the other")

// objectScanner finds where JSON objects end, however their bytes come in pieces. It does not say
// whether they are JSON.
type objectScanner struct {
	depth   int
	quoted  bool
	escaped bool
}

// next returns how many of the bytes belong to the first object and what is before it, or 0 if it
// does not end within them.
func (o *objectScanner) next(b []byte) (int, error) {
	for i, c := range b {
		switch {
		case o.escaped:
			o.escaped = false
		case o.quoted && c == '\\':
			o.escaped = true
		case c == '"' && o.depth > 0:
			o.quoted = !o.quoted
		case o.quoted:
		case c == '{' || c == '[' && o.depth > 0:
			o.depth++
		case o.depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n':
			return 0, errObjects
		case c == '}' || c == ']':
			if o.depth--; o.depth == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, nil
}

// inside says whether an object has begun and not ended.
func (o *objectScanner) inside() bool { return o.depth > 0 }

// streamV3 reads records as they come, and answers them in order. They go to the topic of a request
// that is empty yet.
func (s confluentV3) streamV3(w http.ResponseWriter, r *http.Request, to *writeRequest, memory *share) error {
	stream := &v3Stream{s: s, w: w, control: http.NewResponseController(w), name: to.name, topic: to.topic, memory: memory,
		parts: make(chan v3Pending, maxV3Parts)}
	return stream.run(r)
}

// maxV3Parts is how many parts of a stream may await their answer.
const maxV3Parts = 64

// v3Stream is a stream of records.
type v3Stream struct {
	s       confluentV3
	w       http.ResponseWriter
	control *http.ResponseController
	name    string             // of the topic
	topic   *coordinator.Topic // for who reads the stream; nil: it is created for the first records that it takes
	memory  *share
	parts   chan v3Pending
}

// v3Pending is a part that was handed to the writer.
type v3Pending struct {
	v3Part
	request *writeRequest
	packed  []ingest.Packed
	pending *ingest.Pending
	refused *problem // of all records
	memory  *share   // given back when the part is answered
}

// run reads the stream to its end. The answers are written by a goroutine of their own, which it
// waits for.
func (t *v3Stream) run(r *http.Request) error {
	if err := t.control.EnableFullDuplex(); err != nil {
		return err
	}
	// no more is read while the server stops
	stop := context.AfterFunc(t.s.readers.stopping, func() { _ = t.control.SetReadDeadline(time.Now()) })
	defer stop()
	t.w.Header().Set("Content-Type", typeJSON)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		t.answer(r.Context())
	}()
	err := t.read(r)
	if p, is := errors.AsType[*problem](err); is {
		t.parts <- v3Pending{v3Part: v3Part{[]v3Record{{err: p}}}}
	}
	close(t.parts)
	<-answered
	return nil
}

// read takes the stream in: each time as many records as have come.
func (t *v3Stream) read(r *http.Request) error {
	var scanner objectScanner
	size := firstBodyBytes
	if err := t.memory.grow(r.Context(), bodyFactor*int64(size)); err != nil {
		return err
	}
	buffer := make([]byte, 0, size)
	for {
		t.s.awaitQuota(r, access.ProducedBytes)
		if err := t.control.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
			return err
		}
		if t.s.readers.stopping.Err() != nil { // looked at only now, because run sets a deadline as well
			return t.s.takesWork()
		}
		n, readErr := r.Body.Read(buffer[len(buffer):cap(buffer)])
		scanned := len(buffer)
		buffer = buffer[:scanned+n]
		taken, err := t.take(r, buffer, scanned, &scanner)
		switch {
		case err != nil:
			return err
		case errors.Is(readErr, io.EOF) && scanner.inside():
			return refuse(http.StatusBadRequest, "", "the body ends within a record")
		case readErr != nil && t.s.readers.stopping.Err() != nil:
			return t.s.takesWork()
		case readErr != nil:
			return readErr
		}
		buffer = append(buffer[:0], buffer[taken:]...)
		if len(buffer) < cap(buffer) {
			continue
		}
		if size = cap(buffer) * bodyGrowth; size > t.s.opts.Limits.MaxBodyBytes {
			return t.s.bodyTooLarge()
		}
		if err := t.memory.grow(r.Context(), bodyFactor*int64(size-cap(buffer))); err != nil {
			return err
		}
		buffer = append(make([]byte, 0, size), buffer...)
	}
}

// take hands the records on that are whole. It returns how many bytes they are.
func (t *v3Stream) take(r *http.Request, buffer []byte, scanned int, scanner *objectScanner) (taken int, err error) {
	var malformed error
	for {
		n, err := scanner.next(buffer[scanned:])
		if err != nil {
			malformed = refuse(http.StatusBadRequest, "", "%v", err)
		}
		if n == 0 {
			break
		}
		scanned += n
		taken = scanned
	}
	if taken == 0 {
		return 0, malformed
	}
	memory := t.s.requestShare(r)
	if err := t.grow(r.Context(), memory, bodyFactor*int64(taken)); err != nil {
		memory.giveBack()
		return taken, err
	}
	d := t.s.newRecordReader(r, buffer[:taken], memory)
	d.reserve = func(n int64) error { return t.grow(r.Context(), memory, n) }
	part := v3Part{}
	if err := d.lines(func() error { return part.read(d) }); err != nil {
		malformed = err
	}
	// those before it are answered first
	return taken, errors.Join(t.hand(r.Context(), part, d.records, memory), malformed)
}

// grow takes memory for a part. What a stream has sent faster than it is written waits here, and is
// read no further.
func (t *v3Stream) grow(ctx context.Context, memory *share, n int64) error {
	began := time.Now()
	for {
		err := memory.grow(ctx, n)
		if p, is := errors.AsType[*problem](err); !is || p.Status != http.StatusTooManyRequests ||
			time.Since(began) > t.s.opts.Limits.WriteTimeout {
			return err
		}
	}
}

// hand hands records to the writer. Those that the topic does not take are refused one by one.
func (t *v3Stream) hand(ctx context.Context, part v3Part, records []ingest.Record, memory *share) error {
	w := &writeRequest{name: t.name, topic: t.topic, memory: memory, now: time.Now()}
	if w.topic == nil {
		w.topic = t.s.topics.Draft(t.name)
	}
	w.config = t.s.producers.configs.Of(w.topic)
	w.refuseEach(&part, records)
	p := v3Pending{v3Part: part, request: w, memory: memory}
	var err error
	if len(w.records) > 0 {
		if t.topic == nil {
			if err = t.s.createFor(ctx, w); err == nil {
				t.topic = w.topic
			}
		}
		if err == nil {
			p.packed, err = t.s.pack(w, w.topic.Partitions)
		}
		if err == nil {
			p.pending, err = t.s.hand(ctx, p.packed)
		}
	}
	if err != nil {
		refused := t.s.problemOf(err)
		p.refused = &refused
	}
	w.forget()
	memory.shrink(recordOverhead * int64(len(part.records)))
	select {
	case t.parts <- p:
		return nil
	case <-ctx.Done():
		memory.giveBack()
		return ctx.Err()
	}
}

// answer answers the parts, in order.
func (t *v3Stream) answer(ctx context.Context) {
	var b []byte
	for p := range t.parts {
		done := &writtenRequest{}
		if p.request != nil {
			done.records = make([]written, len(p.request.timestamps))
		}
		if p.refused != nil {
			for i := range done.records {
				done.records[i].err = p.refused
			}
		} else if p.pending != nil {
			t.s.settle(ctx, p.request, p.pending, p.packed, done)
		}
		b = t.s.appendV3(b[:0], t.name, &p.v3Part, done)
		if p.memory != nil {
			p.memory.giveBack()
		}
		_ = t.control.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, _ = t.w.Write(b) // an error means that the client has gone; what it sent is written all the same
		if len(t.parts) == 0 {
			_ = t.control.Flush()
		}
	}
}
