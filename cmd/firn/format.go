package main

import (
	"bytes"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/replay"
	"firn.dev/segments/batch"
)

// formatter appends one record and what follows it.
type formatter func(w *bytes.Buffer, r *kgo.Record) error

// recordFormat returns the formatter of that name, or of that format string.
func recordFormat(name string) (formatter, error) {
	switch name {
	case "value":
		return writeValue, nil
	case "key-value":
		return writeKeyValue, nil
	case "json", "ndjson":
		return newJSONFormatter(), nil
	}
	if strings.Contains(name, "%") {
		return parseFormat(name)
	}
	return nil, usagef("--format %q is not one of value, key-value, json, or a format such as '%%k %%s\\n'", name)
}

func writeValue(w *bytes.Buffer, r *kgo.Record) error {
	w.Write(r.Value)
	return w.WriteByte('\n')
}

func writeKeyValue(w *bytes.Buffer, r *kgo.Record) error {
	w.Write(r.Key)
	w.WriteByte('\t')
	return writeValue(w, r)
}

// newJSONFormatter writes records as replays do.
func newJSONFormatter() formatter {
	var line []byte
	var headers []batch.RecordHeader
	return func(w *bytes.Buffer, r *kgo.Record) error {
		headers = headers[:0]
		for _, h := range r.Headers {
			headers = append(headers, batch.RecordHeader(h))
		}
		line = replay.AppendJSON(line[:0], r.Topic, r.Partition, &batch.Record{Offset: r.Offset,
			Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, Headers: headers})
		w.Write(line)
		return w.WriteByte('\n')
	}
}
