// Package index is the read path: it finds the spans of a partition by offset and by time, reads their bytes from memory or from the
// bucket, checks them, and gives batches out with their final offsets.
package index

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"firn/coordinator"
	"firn/segments"
)

// Options is what an Index needs. Zero values of the numbers mean their defaults.
type Options struct {
	Store      segments.Store
	View       *coordinator.View
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	TailBytes  int64 // of segments that this node wrote, kept for readers of the tail
	CacheBytes int64 // of blocks read from the bucket
}

// Errors of this package, beside coordinator.ErrUnknownPartition and the store's.
var (
	ErrOffsetOutOfRange = errors.New("offset lies outside the partition")
	ErrCorrupt          = errors.New("stored data is corrupt")
)

// Index reads partitions.
type Index struct{}

// New returns an index.
func New(opts Options) (*Index, error) { panic("unwritten") }

// Keep takes a segment that this node has just written, with final base offsets, for readers of the tail. The bytes must not change afterwards.
func (x *Index) Keep(spans []coordinator.CommitSpan, object []byte) { panic("unwritten") }

// Chunk is the answer of Read.
type Chunk struct {
	Batches       [][]byte // slices of whole batches, contiguous in offsets; the first may begin below the offset asked for. Shared: not to be changed
	HighWatermark int64
	LogStart      int64
}

// Read returns whole batches from the one that holds offset on: as many as fit into maxBytes, and at least one if
// there is one and atLeastOne is set. At the high watermark it returns none. It does not wait for more: coordinator.View has Watch for that.
func (x *Index) Read(ctx context.Context, p segments.Partition, offset int64, maxBytes int, atLeastOne bool) (Chunk, error) {
	panic("unwritten")
}

// Position is a record's offset and timestamp in milliseconds.
type Position struct {
	Offset    int64
	Timestamp int64
}

// ByTime returns the first record with this timestamp or a later one; false if there is none.
func (x *Index) ByTime(ctx context.Context, p segments.Partition, timestamp int64) (Position, bool, error) {
	panic("unwritten")
}

// MaxTimestamp returns the record with the largest timestamp, the first of several; false if the partition is empty.
func (x *Index) MaxTimestamp(ctx context.Context, p segments.Partition) (Position, bool, error) {
	panic("unwritten")
}

// Close drops what the index holds.
func (x *Index) Close() error { panic("unwritten") }
