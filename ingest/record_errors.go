package ingest

import (
	"fmt"
	"strings"
)

// RecordError says which record is wrong.
type RecordError struct {
	Index int
	Err   error
}

func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %v", e.Index, e.Err) }
func (e *RecordError) Unwrap() error { return e.Err }

// maxRecordErrors is how many records of a batch are named when its topic does not take them. Once
// those are left out or mended, the next are.
const maxRecordErrors = 1000

// RecordErrors says which records of a batch its topic does not take (KIP-467). None of the batch
// is written; without these its records may be sent again.
type RecordErrors struct {
	Records int           // of the batch
	Count   int           // of those that are refused
	Named   []RecordError // the first of them, in order; at most maxRecordErrors
}

func (e *RecordErrors) add(index int, err error) {
	e.Count++
	if len(e.Named) < maxRecordErrors {
		e.Named = append(e.Named, RecordError{index, err})
	}
}

// Error names the first three.
func (e *RecordErrors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d records are refused: ", e.Count, e.Records)
	for i := range e.Named[:min(3, len(e.Named))] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Named[i].Error())
	}
	if e.Count > 3 {
		b.WriteString("; ...")
	}
	return b.String()
}

// Unwrap returns what is wrong with the records.
func (e *RecordErrors) Unwrap() []error {
	errs := make([]error, len(e.Named))
	for i := range e.Named {
		errs[i] = &e.Named[i]
	}
	return errs
}
