package rest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firn.dev/ingest"
	"firn.dev/segments/batch"
)

// What records and headers take in memory beside their bytes, about.
const (
	recordOverhead = 256
	headerOverhead = 64
)

// recordReader reads records out of a body. Where it can, keys and values are slices of the body.
type recordReader struct {
	body    []byte
	dec     *jsontext.Decoder
	records []ingest.Record
	topics  []string // of the records, if they name theirs
	named   bool     // they do
	most    int      // records

	reserve func(n int64) error // takes memory
	owed    int64               // memory used and not yet taken
}

// newRecordReader returns a reader of a body. Records beyond Limits.MaxRecords are refused; what
// they take beside the body is taken from memory.
func (s *Server) newRecordReader(r *http.Request, body []byte, memory *share) *recordReader {
	return &recordReader{
		body: body, most: s.opts.Limits.MaxRecords,
		// What users put into values is theirs: names may come twice there. In records they may not.
		dec:     jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true)),
		reserve: func(n int64) error { return memory.grow(r.Context(), n) },
	}
}

// hold notes memory that is about to be used, and takes it in steps.
func (d *recordReader) hold(n int64) error {
	const step = 64 << 10
	if d.owed += n; d.owed < step {
		return nil
	}
	n, d.owed = d.owed, 0
	return d.reserve(n)
}

// add takes a record in.
func (d *recordReader) add(r ingest.Record) error {
	if len(d.records) == d.most {
		return d.tooMany()
	}
	d.records = append(d.records, r)
	return d.hold(recordOverhead)
}

// tooMany refuses more records than a request may have.
func (d *recordReader) tooMany() error {
	p := refuse(http.StatusRequestEntityTooLarge, "", "a request may have %d records", d.most)
	p.Limit = "MaxRecords"
	return p
}

// whole reads a body that is one JSON value: an array of what one reads, or one of them.
func (d *recordReader) whole(one func() error) error {
	if d.dec.PeekKind() != '[' {
		return d.single(one)
	}
	if err := d.array("the body", one); err != nil {
		return err
	}
	return d.end()
}

// single reads a body that is one JSON value.
func (d *recordReader) single(one func() error) error {
	if err := one(); err != nil {
		return err
	}
	return d.end()
}

// lines reads a body of JSON values, one after the other.
func (d *recordReader) lines(one func() error) error {
	for {
		if kind := d.dec.PeekKind(); kind == 0 || kind == '[' {
			if _, err := d.dec.ReadToken(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return d.malformed(err)
			}
			return d.wrong("", "each line has to be a record, which is a JSON object")
		}
		if err := one(); err != nil {
			return err
		}
	}
}

// end wants nothing more.
func (d *recordReader) end() error {
	switch _, err := d.dec.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return d.malformed(err)
	}
	return refuse(http.StatusBadRequest, "", "something follows the JSON value; records one after the other are "+
		"application/x-ndjson")
}

// malformed is a body that is not JSON.
func (d *recordReader) malformed(err error) error {
	at := len(d.records)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	p := refuse(http.StatusBadRequest, "", "the body is not JSON: %v", err)
	p.Record = &at
	return p
}

// wrong is a record that cannot be taken.
func (d *recordReader) wrong(field, format string, args ...any) error {
	at := len(d.records)
	p := refuse(http.StatusUnprocessableEntity, field, format, args...)
	p.Record = &at
	return p
}

// value reads a JSON value and returns its text, which lies in the body.
func (d *recordReader) value() (jsontext.Value, error) {
	v, err := d.dec.ReadValue()
	if err != nil {
		return nil, d.malformed(err)
	}
	end := int(d.dec.InputOffset())
	return d.body[end-len(v) : end : end], nil
}

// object reads an object, and has member read the value of each name. Names come unquoted.
func (d *recordReader) object(what string, member func(name []byte) error) error {
	if kind := d.dec.PeekKind(); kind != '{' && kind != 0 {
		return d.wrong("", "%s has to be a JSON object", what)
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.malformed(err)
	}
	for d.dec.PeekKind() == '"' {
		name, err := d.value()
		if err != nil {
			return err
		}
		if err := member(unquote(name)); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.malformed(err)
	}
	return nil
}

// array reads an array, and has element read each of its elements.
func (d *recordReader) array(what string, element func() error) error {
	if kind := d.dec.PeekKind(); kind != '[' && kind != 0 {
		return d.wrong(what, "%s has to be a JSON array", what)
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.malformed(err)
	}
	for d.dec.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.malformed(err)
	}
	return nil
}

// Fields of a record. Only value has to be there.
const (
	fieldKey = 1 << iota
	fieldValue
	fieldHeaders
	fieldPartition
	fieldTimestamp
)

var recordFields = map[string]int{"key": fieldKey, "value": fieldValue, "headers": fieldHeaders,
	"partition": fieldPartition, "timestamp": fieldTimestamp}

// record reads a record of Firn's own format.
func (d *recordReader) record() error {
	r := ingest.Record{Partition: -1, Timestamp: -1}
	seen, topic := 0, ""
	err := d.object("a record", func(name []byte) (err error) {
		field := recordFields[string(name)]
		switch {
		case d.named && string(name) == "topic" && topic == "":
			topic, err = d.text("topic")
			return err
		case field == 0:
			return d.wrong(clip(name), "a record has no field %q: there are key, value, headers, partition and timestamp",
				clip(name))
		case seen&field != 0:
			return d.wrong(string(name), "%s is there twice", name)
		}
		seen |= field
		switch field {
		case fieldKey:
			r.Key, err = d.bytes("key")
		case fieldValue:
			r.Value, err = d.bytes("value")
		case fieldHeaders:
			r.Headers, err = d.headers()
		case fieldPartition:
			r.Partition, err = d.partition()
		case fieldTimestamp:
			r.Timestamp, err = d.timestamp()
		}
		return err
	})
	if err != nil {
		return err
	}
	if seen&fieldValue == 0 {
		return d.wrong("value", "a record needs a value; null is one")
	}
	if d.named {
		if topic == "" {
			return d.wrong("topic", "a record needs a topic")
		}
		d.topics = append(d.topics, topic)
	}
	return d.add(r)
}

// text reads a string that is not empty.
func (d *recordReader) text(field string) (string, error) {
	v, err := d.value()
	if err != nil {
		return "", err
	}
	if v.Kind() != '"' || len(v) == 2 {
		return "", d.wrong(field, "%s has to be a string, and not empty", field)
	}
	return string(unquote(v)), nil
}

// bytes reads what becomes the bytes of a key, a value or a header: of a string its UTF-8, of
// {"base64": "…"} what that encodes, of null null, and of every other value its text without white
// space.
func (d *recordReader) bytes(field string) ([]byte, error) {
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	switch v.Kind() {
	case 'n':
		return nil, nil
	case '"':
		return unquote(v), nil
	case '{':
		encoded, only := soleMember(v, "base64")
		if !only {
			break
		}
		return d.base64(field, encoded)
	}
	return compact(v), nil
}

// base64 decodes a JSON string.
func (d *recordReader) base64(field string, v jsontext.Value) ([]byte, error) {
	if v.Kind() != '"' {
		return nil, d.wrong(field, "%s has to be a string of base64", field)
	}
	b, err := decodeBase64(unquote(v))
	if err != nil {
		return nil, d.wrong(field, "%s: %v", field, err)
	}
	return b, nil
}

// decodeBase64 decodes the standard alphabet, padded or not.
func decodeBase64(encoded []byte) ([]byte, error) {
	encoded = bytes.TrimRight(encoded, "=")
	b := make([]byte, base64.RawStdEncoding.DecodedLen(len(encoded)))
	n, err := base64.RawStdEncoding.Decode(b, encoded)
	return b[:n], err
}

// headers reads {"name": value, …}, or [{"key": "name", "value": value}, …] where names come twice.
func (d *recordReader) headers() (headers []batch.RecordHeader, err error) {
	add := func(name []byte, value []byte) error {
		headers = append(headers, batch.RecordHeader{Key: string(name), Value: value})
		return d.hold(headerOverhead)
	}
	switch d.dec.PeekKind() {
	case 'n':
		_, err = d.value()
	case '[':
		err = d.array("headers", func() error {
			name, value, err := d.header()
			if err != nil {
				return err
			}
			return add(name, value)
		})
	default:
		err = d.object("headers", func(name []byte) error {
			value, err := d.bytes("headers")
			if err != nil {
				return err
			}
			return add(name, value)
		})
	}
	return headers, err
}

// header reads {"key": "name", "value": value}.
func (d *recordReader) header() (name, value []byte, err error) {
	named := false
	err = d.object("a header", func(member []byte) (err error) {
		switch string(member) {
		case "key":
			if d.dec.PeekKind() != '"' {
				return d.wrong("headers", "a header's key has to be a string")
			}
			named = true
			name, err = d.bytes("headers")
		case "value":
			value, err = d.bytes("headers")
		default:
			err = d.wrong("headers", "a header has no field %q: there are key and value", clip(member))
		}
		return err
	})
	if err == nil && !named {
		err = d.wrong("headers", "a header needs a key")
	}
	return name, value, err
}

// partition reads a partition, or null.
func (d *recordReader) partition() (int32, error) {
	v, err := d.value()
	if err != nil || v.Kind() == 'n' {
		return -1, err
	}
	n, err := strconv.ParseInt(string(v), 10, 32)
	if err != nil || n < 0 {
		return -1, d.wrong("partition", "partition has to be a number from 0 on, not %s", clip(v))
	}
	return int32(n), nil
}

// timestamp reads milliseconds since 1970, an RFC 3339 time, or null.
func (d *recordReader) timestamp() (int64, error) {
	v, err := d.value()
	if err != nil || v.Kind() == 'n' {
		return -1, err
	}
	if v.Kind() == '"' {
		v = unquote(v)
	}
	millis, err := parseTimestamp(string(v))
	if err != nil {
		return -1, d.wrong("timestamp", "timestamp has to be milliseconds since 1970 or an RFC 3339 time, not %s", clip(v))
	}
	return millis, nil
}

var errTimestamp = errors.New("neither milliseconds since 1970 nor an RFC 3339 time")

// parseTimestamp reads milliseconds since 1970, or an RFC 3339 time, not before 1970.
func parseTimestamp(s string) (int64, error) {
	millis, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return -1, errTimestamp
		}
		millis = at.UnixMilli()
	}
	if millis < 0 || millis == math.MaxInt64 {
		return -1, errTimestamp
	}
	return millis, nil
}

// unquote returns what a JSON string says: a slice of it, unless it has escapes. It is never nil.
func unquote(quoted jsontext.Value) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	b, _ := jsontext.AppendUnquote(nil, quoted) // it has been read, so it is valid
	if b == nil {
		b = []byte{}
	}
	return b
}

// soleMember returns the value of an object whose only member has that name.
func soleMember(object jsontext.Value, name string) (jsontext.Value, bool) {
	rest := bytes.TrimLeft(object[1:], " \t\r\n")
	if len(rest) <= len(name)+2 || rest[0] != '"' || string(rest[1:1+len(name)]) != name || rest[1+len(name)] != '"' {
		return nil, false
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true))
	_, _ = dec.ReadToken() // { and the name, which are there
	_, _ = dec.ReadToken()
	v, err := dec.ReadValue()
	return bytes.Clone(v), err == nil && dec.PeekKind() == '}'
}

// compact is the text of a JSON value without white space: v itself if it has none. It has been
// read, so it is valid.
func compact(v jsontext.Value) []byte {
	at := spaceIn(v, 0)
	if at == len(v) {
		return v
	}
	out := make([]byte, 0, len(v))
	for from := 0; from < len(v); at = spaceIn(v, from) {
		out = append(out, v[from:at]...)
		from = at + 1
	}
	return out
}

// spaceIn is where the first white space is that lies outside of strings, from a place outside of
// strings on; the end if there is none.
func spaceIn(v jsontext.Value, from int) int {
	quoted := false
	for i := from; i < len(v); i++ {
		switch v[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++ // only strings have it; what follows ends none
		case ' ', '\t', '\r', '\n':
			if !quoted {
				return i
			}
		}
	}
	return len(v)
}

// clip shortens what clients sent, for errors.
func clip(b []byte) string {
	const most = 64
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
