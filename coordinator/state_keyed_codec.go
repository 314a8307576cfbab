package coordinator

import (
	"encoding/binary"
	"math"

	"firn.dev/segments"
)

// The bytes of keyed requests, in commit facts and in snapshots: FORMAT.md.

// keyedLen is how long one is at least.
const keyedLen = 16 + 16 + 5

// appendKeyed appends requests of one partition, with their offsets behind base.
func appendKeyed(dst []byte, base int64, keys []Keyed) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	for i := range keys {
		k := &keys[i]
		dst = append(dst, k.ID[:]...)
		dst = append(dst, k.Body[:]...)
		dst = binary.AppendUvarint(dst, uint64(k.Partitions))
		dst = binary.AppendVarint(dst, k.Timestamp)
		dst = binary.AppendUvarint(dst, uint64(k.BaseOffset-base))
		dst = binary.AppendUvarint(dst, uint64(k.Records))
		dst = binary.AppendVarint(dst, k.Time)
	}
	return dst
}

func (d *decoder) keyed(at segments.Partition, base int64) []Keyed {
	n := d.count(keyedLen)
	if n == 0 {
		return nil
	}
	keys := make([]Keyed, 0, min(n, 1024))
	for i := 0; i < n && d.err == nil; i++ {
		k := Keyed{Partition: at}
		k.RequestKey = RequestKey{ID: d.id(), Body: d.id(), Partitions: d.int32(), Timestamp: d.varint()}
		k.BaseOffset = base + d.upTo(math.MaxInt64-1-base)
		k.Records = d.int32()
		k.Time = d.varint()
		keys = append(keys, k)
	}
	return keys
}

// keyedVersion is that of commit facts with keyed requests; one without is written as version 1.
const keyedVersion = 2

// version is that of the fact in which a commit is written.
func (c *Commit) version() byte {
	if c.hasAtomic() {
		return atomicVersion
	}
	if c.hasTransactions() {
		return transactionsVersion
	}
	for i := range c.Spans {
		if len(c.Spans[i].Keyed) > 0 {
			return keyedVersion
		}
	}
	return factVersion
}

// hasKeys says whether a snapshot of the partition needs the part that version 3
// added for requests.
func (p *partition) hasKeys() bool {
	for i := range p.beyond {
		if len(p.beyond[i].keyed) > 0 {
			return true
		}
	}
	return len(p.keys) > 0
}

// keys reads what a partition remembers of requests.
func (d *decoder) keys(at segments.Partition, p *partition) {
	for _, k := range d.keyed(at, 0) {
		if _, twice := p.keys[k.ID]; twice {
			d.fail("request %x twice in partition %s", k.ID, at)
			return
		}
		p.remember(&k)
	}
}
