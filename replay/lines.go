package replay

import (
	"encoding/base64"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"firn.dev/segments/batch"
)

// Encoder writes records in a format.
type Encoder interface {
	// Encode takes records of one partition, in order, without keeping them.
	Encode(partition int32, records []batch.Record) error
	// Close writes what is left, and what the format ends with. It does not close the writer.
	Close() error
}

// Format is how records are written.
type Format struct {
	Name      string // by which it is chosen
	Extension string // of files, without a dot
	// New begins an output.
	New func(w io.Writer) (Encoder, error)
	// Lines says that encoders only append, and give whole lines to each Write: so several can share a
	// stream.
	Lines bool
	// Memory is what one encoder holds at most, about.
	Memory int64
}

// lineBytes is how much of a line format is collected before it is written.
const lineBytes = 64 << 10

// Raw is each value and a newline. A null value is an empty line.
func Raw() Format {
	return lineFormat("raw", "txt", func(line []byte, _ int32, r *batch.Record) []byte {
		return append(append(line, r.Value...), '\n')
	})
}

// NDJSON is one JSON object a line, as AppendJSON makes it.
func NDJSON(topic string) Format {
	return lineFormat("ndjson", "ndjson", func(line []byte, partition int32, r *batch.Record) []byte {
		return append(AppendJSON(line, topic, partition, r), '\n')
	})
}

// AppendJSON appends a record as a JSON object without newlines: topic, partition, offset,
// timestamp (milliseconds), key, value, and headers if there are any. Bytes that are no text are
// {"base64": …}.
func AppendJSON(line []byte, topic string, partition int32, r *batch.Record) []byte {
	line = append(line, `{"topic":"`...)
	line = append(line, topic...) // topics' names need no escapes
	line = append(line, `","partition":`...)
	line = strconv.AppendInt(line, int64(partition), 10)
	line = append(line, `,"offset":`...)
	line = strconv.AppendInt(line, r.Offset, 10)
	line = append(line, `,"timestamp":`...)
	line = strconv.AppendInt(line, r.Timestamp, 10)
	line = appendLegible(append(line, `,"key":`...), r.Key)
	line = appendLegible(append(line, `,"value":`...), r.Value)
	for i, h := range r.Headers {
		if i == 0 {
			line = append(line, `,"headers":[`...)
		} else {
			line = append(line, ',')
		}
		line = appendText(append(line, `{"key":`...), []byte(h.Key))
		line = append(appendLegible(append(line, `,"value":`...), h.Value), '}')
	}
	if len(r.Headers) > 0 {
		line = append(line, ']')
	}
	return append(line, '}')
}

// appendLegible appends bytes as JSON has them: null, text, or base64.
func appendLegible(line, b []byte) []byte {
	switch {
	case b == nil:
		return append(line, "null"...)
	case utf8.Valid(b):
		return appendText(line, b)
	}
	line = append(line, `{"base64":"`...)
	line = base64.StdEncoding.AppendEncode(line, b)
	return append(line, '"', '}')
}

// appendText appends a JSON string. Bytes that are no UTF-8 become U+FFFD, which only names of
// headers can have.
func appendText(line, b []byte) []byte {
	line, _ = jsontext.AppendQuote(line, b)
	return line
}

func lineFormat(name, extension string, line func([]byte, int32, *batch.Record) []byte) Format {
	return Format{Name: name, Extension: extension, Lines: true, Memory: 4 * lineBytes,
		New: func(w io.Writer) (Encoder, error) {
			return &lines{w: w, line: line, buffer: make([]byte, 0, lineBytes+lineBytes/4)}, nil
		}}
}

// lines is an Encoder of a line format.
type lines struct {
	w      io.Writer
	line   func([]byte, int32, *batch.Record) []byte
	buffer []byte
}

func (l *lines) Encode(partition int32, records []batch.Record) error {
	for i := range records {
		l.buffer = l.line(l.buffer, partition, &records[i])
		if len(l.buffer) >= lineBytes {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lines) flush() error {
	_, err := l.w.Write(l.buffer)
	if l.buffer = l.buffer[:0]; cap(l.buffer) > 16*lineBytes { // there was a very long line
		l.buffer = make([]byte, 0, lineBytes+lineBytes/4)
	}
	return err
}

func (l *lines) Close() error {
	if len(l.buffer) == 0 {
		return nil
	}
	return l.flush()
}
