package replay

import (
	"context"
	"io"
	"sync"

	"firn.dev/segments/batch"
)

// Stream is an Output that writes all partitions into one writer. It has to be closed when Run has
// returned nil.
type Stream struct {
	format Format
	mu     sync.Mutex
	w      io.Writer
	shared Encoder // nil for formats of lines
}

// NewStream begins a stream.
func NewStream(w io.Writer, f Format) (*Stream, error) {
	s := &Stream{format: f, w: w}
	var err error
	if !f.Lines {
		s.shared, err = f.New(w)
	}
	return s, err
}

// Write writes whole lines, for an encoder of one partition.
func (s *Stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// Memory implements Output.
func (s *Stream) Memory() int64 {
	if s.shared != nil {
		return 1
	}
	return s.format.Memory
}

// Open implements Output.
func (s *Stream) Open(_ context.Context, r Range) (Sink, error) {
	if s.shared != nil {
		return &streamSink{s, s.shared, r.Partition}, nil
	}
	e, err := s.format.New(s)
	return &streamSink{s, e, r.Partition}, err
}

// Close writes what the format ends with.
func (s *Stream) Close() error {
	if s.shared == nil {
		return nil
	}
	return s.shared.Close()
}

// streamSink is one partition's way into a Stream.
type streamSink struct {
	stream    *Stream
	encoder   Encoder
	partition int32
}

func (s *streamSink) Write(records []batch.Record, _ int64) error {
	if s.stream.shared != nil {
		s.stream.mu.Lock()
		defer s.stream.mu.Unlock()
	}
	return s.encoder.Encode(s.partition, records)
}

func (s *streamSink) Idle() error { return s.Close() }

func (s *streamSink) Close() error {
	if s.stream.shared != nil {
		return nil
	}
	return s.encoder.Close() // of lines: it may go on afterwards
}

func (*streamSink) Abort() {}
