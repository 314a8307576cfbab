// Package ingest is the write path: it collects record batches of all partitions, seals them into mixed segments, puts those into the
// bucket in parallel, commits them in the order in which they were sealed, has their facts journaled and confirmed, and only then answers.
package ingest

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn/coordinator"
	"firn/segments"
	"firn/segments/batch"
)

// Options is what a Writer needs. Zero values of the numbers mean their defaults.
type Options struct {
	Store      segments.Store
	Node       *coordinator.Node
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	FlushBytes    int           // seal at this many bytes; 8 MiB
	FlushInterval time.Duration // seal at the latest after this long; 250 ms
	Linger        time.Duration // a write into an idle node waits this long for neighbours; 1 ms
	PutBudget     float64       // object puts per second, journal objects included; 0: no budget
	Puts          int           // segment puts under way at once
	BufferBytes   int64         // of batches taken and not yet answered; more makes Append wait

	// Sealed, if set, is handed each segment once it is put and committed, before it is confirmed: object with the batches' final base
	// offsets written into it, and the spans that it became. The bytes are not changed afterwards. The index keeps them for readers of the tail.
	Sealed func(spans []coordinator.CommitSpan, object []byte)
}

// Batch is one record batch on its way in: checked (batch.Check) and authorised by the front door.
type Batch struct {
	Partition segments.Partition
	Header    batch.Header
	Bytes     []byte // not changed by anybody until the batch is answered
}

// Result answers one batch, after it is durable and readable everywhere.
type Result struct {
	BaseOffset     int64
	LogStartOffset int64
	Err            error // nil, one of coordinator's producer errors or ErrUnknownPartition, ErrClosed, or a store's or context's error
}

// Writer is the write path of one node.
type Writer struct{}

// New starts a writer.
func New(opts Options) (*Writer, error) { panic("unwritten") }

// Append takes batches in, all or none. It waits for room in the buffer, no longer than ctx; batches of concurrent or later calls come behind. Once it has
// returned without error the batches will be answered, whatever happens to ctx.
func (w *Writer) Append(ctx context.Context, batches []Batch) (*Pending, error) { panic("unwritten") }

// Pending is an Append on its way.
type Pending struct{}

// Wait returns the answer for each batch, in the order of the Append. If ctx ends first it returns its error; the batches may still be
// written.
func (p *Pending) Wait(ctx context.Context) ([]Result, error) { panic("unwritten") }

// Buffered returns the bytes taken and not yet answered, and the bound.
func (w *Writer) Buffered() (bytes, limit int64) { panic("unwritten") }

// Close takes no more batches, writes and answers those that it has, and waits for everything that it started.
func (w *Writer) Close(ctx context.Context) error { panic("unwritten") }
