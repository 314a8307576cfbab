package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"
)

// jsonReader reads a record from each line, as 'firn consume --format json', 'firn replay' and HTTP
// write them. Lines with nothing but white space are read over.
type jsonReader struct {
	lines  *bufio.Scanner
	number int
}

func (j *jsonReader) next() (*kgo.Record, error) {
	for j.lines.Scan() {
		j.number++
		if line := bytes.TrimSpace(j.lines.Bytes()); len(line) > 0 {
			r, err := parseRecord(line)
			if err != nil {
				return nil, j.at(err)
			}
			return r, nil
		}
	}
	if errors.Is(j.lines.Err(), bufio.ErrTooLong) {
		j.number++
		return nil, j.at(errors.New("it is longer than a record can be that fits into the topic's max.message.bytes"))
	}
	return nil, cmp.Or(j.lines.Err(), io.EOF)
}

func (j *jsonReader) at(err error) error { return fmt.Errorf("line %d: %w", j.number, err) }

// jsonRecord is a record as it is read. The topic and the offset are read over: the record gets
// others. What is not there is nil.
type jsonRecord struct {
	Topic     string         `json:"topic"`
	Partition *int32         `json:"partition"`
	Offset    int64          `json:"offset"`
	Timestamp jsontext.Value `json:"timestamp"`
	Key       jsontext.Value `json:"key"`
	Value     jsontext.Value `json:"value"`
	Headers   jsontext.Value `json:"headers"`
}

// parseRecord reads a record from its JSON.
func parseRecord(line []byte) (*kgo.Record, error) {
	var in jsonRecord
	if err := json.Unmarshal(line, &in, json.RejectUnknownMembers(true)); err != nil {
		return nil, explainJSON(err)
	}
	r := &kgo.Record{Partition: -1}
	var problems [4]error
	r.Key, problems[0] = parseBytes("key", in.Key)
	r.Value, problems[1] = parseBytes("value", in.Value)
	r.Headers, problems[2] = parseHeaders(in.Headers)
	r.Timestamp, problems[3] = parseTimestamp(in.Timestamp)
	switch {
	case in.Value == nil:
		return nil, errors.New("a record needs a value; null is one")
	case in.Partition != nil && *in.Partition < 0:
		return nil, fmt.Errorf("partition has to be a number from 0 on, not %d", *in.Partition)
	case in.Partition != nil:
		r.Partition = *in.Partition
	}
	return r, cmp.Or(problems[:]...)
}

// explainJSON says what is wrong with a record, or with a header.
func explainJSON(err error) error {
	semantic := new(json.SemanticError)
	switch {
	case !errors.As(err, &semantic):
		return err // it says what is no JSON, and where
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("there is no field %q: a record has key, value, headers, partition and timestamp",
			semantic.JSONPointer.LastToken())
	case semantic.JSONPointer == "":
		return errors.New("a record has to be a JSON object")
	}
	return fmt.Errorf("%s cannot be this: %s", semantic.JSONPointer.LastToken(), semantic.JSONValue)
}

// parseBytes reads what becomes the bytes of a key, a value or a header: of a string its UTF-8, of
// {"base64": "…"} what that encodes, of null null, and of every other value its text without white
// space.
func parseBytes(field string, v jsontext.Value) ([]byte, error) {
	switch v.Kind() {
	case 0, 'n':
		return nil, nil
	case '"':
		b, err := jsontext.AppendUnquote([]byte{}, v)
		return b, err
	case '{':
		var encoded struct {
			Base64 *string `json:"base64"`
		}
		if err := json.Unmarshal(v, &encoded, json.RejectUnknownMembers(true)); err != nil || encoded.Base64 == nil {
			break // an object of its own
		}
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(*encoded.Base64, "="))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		return b, nil
	}
	err := v.Compact()
	return v, err
}

// parseHeaders reads [{"key": "name", "value": value}, …], or {"name": value, …}.
func parseHeaders(v jsontext.Value) (headers []kgo.RecordHeader, err error) {
	add := func(name string, value jsontext.Value) error {
		b, err := parseBytes("header "+name, value)
		headers = append(headers, kgo.RecordHeader{Key: name, Value: b})
		return err
	}
	switch v.Kind() {
	case 0, 'n':
		return nil, nil
	case '[':
		var list []struct {
			Key   *string        `json:"key"`
			Value jsontext.Value `json:"value"`
		}
		if err := json.Unmarshal(v, &list, json.RejectUnknownMembers(true)); err != nil {
			return nil, errors.New("headers have to be objects with key and value")
		}
		for _, h := range list {
			if h.Key == nil {
				return nil, errors.New("a header needs a key")
			}
			if err := add(*h.Key, h.Value); err != nil {
				return nil, err
			}
		}
		return headers, nil
	}
	// In the order in which they stand there.
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, errors.New("headers have to be a list or an object")
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		if err := add(key, bytes.Clone(value)); err != nil {
			return nil, err
		}
	}
	return headers, nil
}

// parseTimestamp reads milliseconds since 1970, negative ones as well, an RFC 3339 time, or null,
// which is now.
func parseTimestamp(v jsontext.Value) (time.Time, error) {
	var at time.Time
	var err error
	switch v.Kind() {
	case 0, 'n':
		return time.Time{}, nil
	case '0':
		var millis int64
		millis, err = strconv.ParseInt(string(v), 10, 64)
		at = time.UnixMilli(millis)
	case '"':
		var text []byte
		if text, err = jsontext.AppendUnquote(nil, v); err == nil {
			at, err = time.Parse(time.RFC3339Nano, string(text))
		}
	default:
		err = strconv.ErrSyntax
	}
	switch {
	case err != nil:
		return at, fmt.Errorf("timestamp has to be milliseconds since 1970 or an RFC 3339 time, not %s", v)
	case !time.Unix(0, at.UnixNano()).Equal(at): // the client counts nanoseconds
		return at, fmt.Errorf("timestamp has to be between the years 1678 and 2262, not %s", v)
	}
	return at, nil
}
