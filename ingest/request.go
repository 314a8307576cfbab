package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"firn.dev/coordinator"
)

// NewRequestKey returns what a request is known by: its ID from the key that the client gave it,
// its Body from the records, as they were asked for. All front doors compute the same, so a request
// may be made again at another one. Partitions and Timestamp are left to the caller.
func NewRequestKey(key string, records []Record) coordinator.RequestKey {
	id := sha256.Sum256([]byte(key))
	h := fieldHash{Hash: sha256.New()}
	for i := range records {
		r := &records[i]
		h.number(int64(max(r.Partition, -1)))
		h.number(max(r.Timestamp, -1))
		h.field(r.Key)
		h.field(r.Value)
		h.number(int64(len(r.Headers)))
		for _, header := range r.Headers {
			h.field([]byte(header.Key))
			h.field(header.Value)
		}
	}
	return coordinator.RequestKey{ID: [16]byte(id[:16]), Body: [16]byte(h.Sum(nil)[:16])}
}

// SpreadOf is PackOptions.Spread for a request: retries come to the same.
func SpreadOf(key *coordinator.RequestKey) uint64 { return binary.BigEndian.Uint64(key.ID[:]) }

// fieldHash hashes fields so that other fields hash to something else: each is behind its length.
type fieldHash struct {
	hash.Hash
	scratch [binary.MaxVarintLen64]byte
}

// a Hash returns no error
func (h *fieldHash) number(n int64) { _, _ = h.Write(h.scratch[:binary.PutVarint(h.scratch[:], n)]) }

func (h *fieldHash) field(v []byte) {
	if v == nil {
		h.number(-1) // null is not empty
		return
	}
	h.number(int64(len(v)))
	_, _ = h.Write(v)
}
