package rest

import (
	"bytes"
	"strings"

	"firn.dev/segments/batch"
)

// recordFilter says which records a reader wants. Without any part it is all of them.
type recordFilter struct {
	key           *string // the whole of it
	contains      string  // in the key or the value
	header, value string  // a header with this name, and the value that it contains
}

// filterParameters are those of a request that filters.
var filterParameters = []string{"key", "contains", "header"}

func (q *query) filter() recordFilter {
	f := recordFilter{contains: q.text("contains", "")}
	if q.values.Has("key") {
		f.key = new(q.text("key", ""))
	}
	f.header, f.value, _ = strings.Cut(q.text("header", ""), "=")
	return f
}

// all says that a filter lets every record through.
func (f *recordFilter) all() bool { return f.key == nil && f.contains == "" && f.header == "" }

// matches says whether a reader wants a record.
func (f *recordFilter) matches(r *batch.Record) bool {
	if f.key != nil && (r.Key == nil || string(r.Key) != *f.key) {
		return false
	}
	if f.contains != "" && !bytes.Contains(r.Value, []byte(f.contains)) && !bytes.Contains(r.Key, []byte(f.contains)) {
		return false
	}
	if f.header == "" {
		return true
	}
	for _, h := range r.Headers {
		if h.Key == f.header && bytes.Contains(h.Value, []byte(f.value)) {
			return true
		}
	}
	return false
}
