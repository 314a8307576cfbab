package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Options is what a Writer needs. Zero values of the numbers mean their defaults.
type Options struct {
	Store      segments.Store
	Node       *coordinator.Node
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	FlushBytes    int           // seal at this many bytes; 8 MiB
	CarryBytes    int           // the journal carries segments of at most as much; 0: it carries none
	FlushInterval time.Duration // seal at the latest after this long; 250 ms
	Linger        time.Duration // a write in company waits this long for more of it; 1 ms
	PutBudget     float64       // object puts per second, journal objects included; 0: no budget
	BudgetShared  bool          // PutBudget is of all live nodes together, in equal parts
	Puts          int           // segment puts under way at once; 4
	BufferBytes   int64         // of batches taken and not yet answered; more makes Append wait; 256 MiB
	LargestAppend int64         // what one Append may bring, if BufferBytes is as much; 104 MiB

	// Sealed, if set, is handed each segment once it is put and committed, before it is confirmed:
	// object with the batches' final base offsets written into it, and the spans that it became. The
	// bytes are not changed afterwards. The index keeps them for readers of the tail. A segment that
	// loses its offsets to a recovery is handed over once more, as other bytes, with those that it has
	// then.
	Sealed func(spans []coordinator.CommitSpan, object []byte)
}

// Defaults of Options.
const (
	defaultFlushBytes    = 8 << 20
	defaultFlushInterval = 250 * time.Millisecond
	defaultLinger        = time.Millisecond
	defaultPuts          = 4
	defaultBufferBytes   = 256 << 20
	defaultLargestAppend = 104 << 20
)

// maxFlushBytes keeps a segment of the smallest batches below what its format can index.
const maxFlushBytes = 256 << 20

// maxUnanswered is how many segments may be sealed and not yet answered. Their bytes are bounded by
// BufferBytes; this bounds their number.
const maxUnanswered = 1024

func (o Options) withDefaults() Options {
	if o.FlushBytes == 0 {
		o.FlushBytes = defaultFlushBytes
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = defaultFlushInterval
	}
	if o.Linger == 0 {
		o.Linger = defaultLinger
	}
	if o.Puts == 0 {
		o.Puts = defaultPuts
	}
	if o.LargestAppend == 0 {
		o.LargestAppend = defaultLargestAppend
	}
	if o.BufferBytes == 0 {
		o.BufferBytes = defaultBufferBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return o
}

// validate returns all that is wrong with the options at once.
func (o Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("ingest: "+format, args...)) }
	if o.Store == nil {
		bad("Store is missing")
	}
	if o.FlushBytes < 0 || o.FlushBytes > maxFlushBytes {
		bad("flush-bytes %d lies outside 1 to %d", o.FlushBytes, maxFlushBytes)
	}
	if o.CarryBytes < 0 || o.CarryBytes > maxFlushBytes {
		bad("carry-bytes %d lies outside 0 to %d", o.CarryBytes, maxFlushBytes)
	}
	if o.Linger < 0 || o.FlushInterval < o.Linger {
		bad("flush-interval %v and linger %v: the linger must not be negative or longer than the interval", o.FlushInterval,
			o.Linger)
	}
	if o.PutBudget < 0 {
		bad("put-budget %v is negative", o.PutBudget)
	}
	if o.Puts < 0 {
		bad("%d parallel puts", o.Puts)
	}
	if o.LargestAppend < 0 {
		bad("LargestAppend %d is negative", o.LargestAppend)
	}
	if o.BufferBytes < 0 {
		bad("buffer-bytes %d is negative", o.BufferBytes)
	}
	return errors.Join(errs...)
}
