package main

import (
	"bufio"
	"encoding/json"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// formatter writes one record and the newline behind it.
type formatter func(w *bufio.Writer, r *kgo.Record) error

// recordFormat returns the formatter of that name.
func recordFormat(name string) (formatter, error) {
	switch name {
	case "value":
		return writeValue, nil
	case "key-value":
		return writeKeyValue, nil
	case "json":
		return writeJSON, nil
	}
	return nil, usagef("--format %q is not one of value, key-value, json", name)
}

// writeValue relies on bufio.Writer keeping its first error.
func writeValue(w *bufio.Writer, r *kgo.Record) error {
	w.Write(r.Value)
	return w.WriteByte('\n')
}

func writeKeyValue(w *bufio.Writer, r *kgo.Record) error {
	w.Write(r.Key)
	w.WriteByte('\t')
	return writeValue(w, r)
}

// jsonRecord is a record as one line of JSON. Bytes that are not UTF-8 come in base64, under a name
// that says so; a null key or value is null.
type jsonRecord struct {
	Topic       string       `json:"topic"`
	Partition   int32        `json:"partition"`
	Offset      int64        `json:"offset"`
	Timestamp   string       `json:"timestamp"`
	Key         *string      `json:"key"`
	KeyBase64   []byte       `json:"keyBase64,omitempty"`
	Value       *string      `json:"value"`
	ValueBase64 []byte       `json:"valueBase64,omitempty"`
	Headers     []jsonHeader `json:"headers,omitempty"`
}

type jsonHeader struct {
	Name        string  `json:"name"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"valueBase64,omitempty"`
}

func writeJSON(w *bufio.Writer, r *kgo.Record) error {
	line := jsonRecord{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
	}
	line.Key, line.KeyBase64 = textOrBytes(r.Key)
	line.Value, line.ValueBase64 = textOrBytes(r.Value)
	for _, h := range r.Headers {
		header := jsonHeader{Name: h.Key}
		header.Value, header.ValueBase64 = textOrBytes(h.Value)
		line.Headers = append(line.Headers, header)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(line)
}

// textOrBytes returns UTF-8 as text and anything else as bytes; nil is neither.
func textOrBytes(b []byte) (*string, []byte) {
	if b == nil {
		return nil, nil
	}
	if !utf8.Valid(b) {
		return nil, b
	}
	text := string(b)
	return &text, nil
}
