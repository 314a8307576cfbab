package cleanup

import (
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments/batch"
)

// compactor decides which records stay, in one pass over a partition in the order of offsets. Only
// its counts and what it has met on its way change.
type compactor struct {
	latest  *offsetMap
	share   share // which keys it is about; records with others stay
	now     int64 // milliseconds
	horizon int64 // when tombstones that stay for the first time may go; 0: they are not marked yet
	// offset: the batch that ends there stays, even if it is empty, so that readers come to the end of
	// what was compacted
	last  int64
	limit int // of the bytes of a batch's records

	// aborted are the transactions that were aborted: their records go, and replace none of others.
	aborted []coordinator.AbortedTransaction

	// unreadable says that a batch was met that cannot be read, and stays as it is. Behind it no
	// tombstone goes: there may be older records of its key in there.
	unreadable bool

	// Of the segment that is being written:
	earliest int64 // the first horizon in it; 0: none

	counts compactCounts
}

// compactCounts is what a compaction has seen and done.
type compactCounts struct {
	records, superseded, tombstones, keyless, unreadable int64
}

// learn takes the keys of a dirty batch into the map, all of them or, if it cannot be read, none.
// It returns false if there is no room for one.
func (c *compactor) learn(b []byte) bool {
	h, err := batch.ReadHeader(b)
	if err != nil || c.isAborted(&h) {
		return true
	}
	plain, err := batch.Recompress(b, batch.None, c.limit)
	if err != nil {
		return true
	}
	last := h.BaseOffset + int64(h.LastOffsetDelta)
	for r, err := range batch.Records(plain, len(plain)) {
		if err != nil || r.Offset > last {
			return true
		}
	}
	for r := range batch.Records(plain, len(plain)) {
		if r.Key == nil {
			continue
		}
		if hash := hashOf(r.Key); c.share.has(hash) && !c.latest.put(hash, r.Offset) {
			return false
		}
	}
	return true
}

// isAborted says whether a batch is of an aborted transaction, or a marker.
func (c *compactor) isAborted(h *batch.Header) bool {
	return coordinator.IsAborted(c.aborted, h)
}

// clean returns what is left of a batch, nil if nothing is, and whether anything but an empty batch
// went or changed. own says that an earlier compaction wrote the batch.
func (c *compactor) clean(b []byte, own bool) (left []byte, changed bool, err error) {
	h, err := batch.ReadHeader(b)
	if err != nil {
		return nil, false, err
	}
	if h.Attributes.Control() {
		return b, false, nil
	}
	horizon, marked := h.DeleteHorizon()
	passed := own && marked && horizon <= c.now && !c.unreadable
	before := c.counts
	got, err := batch.Retain(b, batch.RetainOptions{
		Horizon: c.horizon, OwnHorizon: own, KeepEmpty: h.BaseOffset+int64(h.LastOffsetDelta) == c.last,
		MaxDecompressed: c.limit,
	}, func(r *batch.Record) bool { return !c.isAborted(&h) && c.keep(r, passed) })
	if err != nil {
		c.counts = before
		c.counts.unreadable++
		c.unreadable = true
		return b, false, nil
	}
	if got.Horizon != 0 && !c.unreadable && (c.earliest == 0 || got.Horizon < c.earliest) {
		c.earliest = got.Horizon
	}
	changed = h.Records > 0 && (got.Bytes == nil || &got.Bytes[0] != &b[0])
	return got.Bytes, changed, nil
}

// keep says whether a record stays: if it is the last of its key up to the end of what is
// compacted, as far as the map knows, and no tombstone whose time has come.
func (c *compactor) keep(r *batch.Record, passed bool) bool {
	c.counts.records++
	if r.Key == nil {
		c.counts.keyless++ // as in Kafka: it was written before the topic was compacted, and nobody could ever replace it
		return false
	}
	hash := hashOf(r.Key)
	switch {
	case !c.share.has(hash):
		return true
	case c.latest.last(hash) > r.Offset:
		c.counts.superseded++
		return false
	case r.Value == nil && passed:
		c.counts.tombstones++
		return false
	}
	return true
}

// horizonFrom is when tombstones that are kept now may go.
func horizonFrom(now time.Time, deleteRetentionMillis int64) int64 {
	return saturated(now.UnixMilli(), deleteRetentionMillis)
}
