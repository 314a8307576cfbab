package rest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"firn.dev/index"
	"firn.dev/segments/batch"
)

// consumed is a record as consumers get it.
type consumed struct {
	Topic     string           `json:"topic,omitempty"`     // where the partition is not that of the request
	Partition *int32           `json:"partition,omitempty"` // likewise
	Offset    int64            `json:"offset"`
	Timestamp int64            `json:"timestamp"` // milliseconds
	Key       any              `json:"key"`
	Value     any              `json:"value"`
	Headers   []consumedHeader `json:"headers,omitempty"`
}

type consumedHeader struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// inBase64 is a key or a value that is no text.
type inBase64 struct {
	Base64 string `json:"base64"`
}

// legible is bytes as JSON has them: null, text, or base64.
func legible(b []byte) any {
	switch {
	case b == nil:
		return nil
	case utf8.Valid(b):
		return string(b)
	}
	return inBase64{base64.StdEncoding.EncodeToString(b)}
}

func newConsumed(r batch.Record) consumed {
	c := consumed{Offset: r.Offset, Timestamp: r.Timestamp, Key: legible(r.Key), Value: legible(r.Value)}
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, consumedHeader{h.Key, legible(h.Value)})
	}
	return c
}

// recordText is records as text, each on a line of its own.
type recordText struct {
	bytes.Buffer
	json    *json.Encoder
	name    func(*consumed) // adds what the request does not say of the record; may be nil
	records int
	next    int64        // where to read on
	skipped []unreadable // at most maxSkipped
}

// unreadable is offsets whose records cannot be read: their producer wrote them so when nobody
// looked inside. They never will be, so it is told of them, and read on behind them.
type unreadable struct {
	Partition *int32 `json:"partition,omitempty"` // where there are several
	From      int64  `json:"from"`
	To        int64  `json:"to"` // the first offset behind them
	Detail    string `json:"detail"`
}

// maxSkipped is of how many ranges one answer tells.
const maxSkipped = 20

// addSkipped adds what cannot be read to a list, unless that has as many ranges as it may have.
func addSkipped(all []unreadable, u unreadable, most int) (_ []unreadable, added bool) {
	if n := len(all); n > 0 && all[n-1].To == u.From {
		all[n-1].To = u.To
		return all, true
	}
	if len(all) >= most {
		return all, false
	}
	return append(all, u), true
}

// skip notes what cannot be read. It says whether there is room for more.
func (t *recordText) skip(u unreadable) (more bool, err error) {
	t.skipped, more = addSkipped(t.skipped, u, maxSkipped)
	return more, nil
}

func newRecordText(name func(*consumed)) *recordText {
	t := &recordText{name: name}
	t.json = json.NewEncoder(&t.Buffer)
	t.json.SetEscapeHTML(false)
	return t
}

// add adds a record.
func (t *recordText) add(r batch.Record) error {
	c := newConsumed(r)
	if t.name != nil {
		t.name(&c)
	}
	t.records++
	return t.json.Encode(&c)
}

// addWithin adds a record if the text has no more records and bytes then than it may have, or no
// other record. It says whether there is room for another.
func (t *recordText) addWithin(r batch.Record, records, size int) (added bool, err error) {
	if t.records == records {
		return false, nil
	}
	before := t.Len()
	if err := t.add(r); err != nil {
		return false, err
	}
	if t.Len() > size && t.records > 1 {
		t.Truncate(before)
		t.records--
		return false, nil
	}
	return true, nil
}

// whole is the text as one JSON object.
func (t *recordText) whole(read *reading, chunk index.Chunk) []byte {
	lines := bytes.TrimSuffix(t.Bytes(), []byte("\n"))
	b := make([]byte, 0, len(lines)+t.records+200)
	b = fmt.Appendf(b, "{\"topic\":%q,\"partition\":%d,\"records\":[", read.topic.Name, read.at.Index)
	for line := range bytes.Lines(lines) {
		if end := len(line) - 1; line[end] == '\n' { // JSON has no other newlines
			line[end] = ','
		}
		b = append(append(b, '\n'), line...)
	}
	b = append(b, "],\n"...)
	if len(t.skipped) > 0 {
		b = fmt.Appendf(b, "\"skipped\":%s,\n", compactJSON(t.skipped))
	}
	return fmt.Appendf(
		b,
		"\"next_offset\":%d,\"high_watermark\":%d,\"log_start_offset\":%d}\n",
		t.next,
		chunk.HighWatermark,
		chunk.LogStart,
	)
}

// taker is given what is read, one after the other, until it says that it takes no more, or has an
// error.
type taker struct {
	take func(batch.Record) (more bool, err error)
	skip func(unreadable) (more bool, err error)
}

// decode gives the committed records of a chunk from offset on to t. It returns the offset behind
// the last one that was taken.
func (s *Server) decode(ctx context.Context, chunk *index.Chunk, offset int64, t taker) (next int64, err error) {
	next = offset
	for _, run := range chunk.Batches {
		for h, err := range batch.All(run) {
			if err != nil {
				return next, err
			}
			if b := run[:h.Size()]; chunk.IsAborted(&h) {
				next = max(next, h.BaseOffset+int64(h.LastOffsetDelta)+1)
			} else if more, err := s.decodeBatch(ctx, h, b, &next, t); err != nil || !more {
				return next, err
			}
			run = run[h.Size():]
		}
	}
	return next, nil
}

// decodeBatch gives the records of one batch from *next on to t, and moves *next behind them.
func (s *Server) decodeBatch(
	ctx context.Context,
	h batch.Header,
	b []byte,
	next *int64,
	t taker,
) (more bool, err error) {
	end := h.BaseOffset + int64(h.LastOffsetDelta) + 1
	if end <= *next {
		return true, nil
	}
	select {
	case s.readers.decoding <- struct{}{}:
		defer func() { <-s.readers.decoding }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	for r, err := range batch.Records(b, batch.MaxDecompressed) {
		if err != nil {
			from := max(*next, h.BaseOffset)
			if more, err = t.skip(unreadable{From: from, To: end, Detail: err.Error()}); err == nil && more {
				*next = end
			}
			return more, err
		}
		if r.Offset < *next {
			continue
		}
		if more, err := t.take(r); err != nil || !more {
			return false, err
		}
		*next = r.Offset + 1
	}
	*next = max(*next, end)
	return true, nil
}
