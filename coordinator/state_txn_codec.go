package coordinator

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"

	"firn.dev/segments"
)

// The bytes of transactions in snapshots: FORMAT.md.

// hasTransactions says whether a snapshot of the state needs the part that version 8 added.
func (s *State) hasTransactions() bool {
	if s.transactions.version > 0 || len(s.transactions.ids) > 0 {
		return true
	}
	for _, p := range s.partitions {
		if p.txns != nil {
			return true
		}
		for i := range p.beyond {
			if p.beyond[i].marker != nil || hasOrdinals(p.beyond[i].producers) {
				return true
			}
		}
	}
	return false
}

func appendPartitionTransactions(b []byte, p *partitionTransactions) []byte {
	if p == nil {
		return append(b, 0, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(p.open)))
	for _, id := range slices.Sorted(maps.Keys(p.open)) {
		open := p.open[id]
		b = binary.AppendUvarint(b, uint64(id))
		b = binary.AppendUvarint(b, open.ordinal)
		b = binary.AppendUvarint(b, uint64(open.first))
		b = binary.AppendUvarint(b, uint64(open.last-open.first))
		b = binary.AppendVarint(b, open.since)
	}
	b = binary.AppendUvarint(b, uint64(len(p.aborted)))
	for _, a := range p.aborted {
		b = binary.AppendUvarint(b, uint64(a.ProducerID))
		b = binary.AppendUvarint(b, uint64(a.FirstOffset))
		b = binary.AppendUvarint(b, uint64(a.LastOffset-a.FirstOffset))
	}
	return b
}

func (d *decoder) partitionTransactions(p *partition) {
	txns := partitionTransactions{open: map[int64]openTransaction{}}
	for i, n := 0, d.count(5); i < n && d.err == nil; i++ {
		id := d.int64()
		if _, twice := txns.open[id]; twice {
			d.fail("producer %d twice among open transactions", id)
		}
		open := openTransaction{ordinal: d.uvarint(), first: d.int64()}
		open.last = open.first + d.upTo(math.MaxInt64-open.first)
		open.since = d.varint()
		if open.last >= p.end {
			d.fail("an open transaction up to %d, partition up to %d", open.last, p.end-1)
		}
		txns.open[id] = open
	}
	last := int64(-1)
	for i, n := 0, d.count(3); i < n && d.err == nil; i++ {
		a := AbortedTransaction{ProducerID: d.int64(), FirstOffset: d.int64()}
		a.LastOffset = a.FirstOffset + d.upTo(math.MaxInt64-a.FirstOffset)
		if a.LastOffset <= last || a.LastOffset >= p.end {
			d.fail("an aborted transaction up to %d, behind one up to %d, partition up to %d", a.LastOffset, last, p.end-1)
		}
		txns.aborted, last = append(txns.aborted, a), a.LastOffset
	}
	if len(txns.open)+len(txns.aborted) > 0 {
		p.txns = &txns
	}
}

func appendTransactions(b []byte, t *transactions) []byte {
	b = binary.AppendUvarint(b, t.version)
	b = binary.AppendUvarint(b, uint64(len(t.ids)))
	for _, id := range slices.Sorted(maps.Keys(t.ids)) {
		b = appendTransactionalID(b, t.ids[id])
	}
	b = binary.AppendUvarint(b, uint64(len(t.incomplete)))
	for _, key := range t.incompleteKeys() {
		e := t.incomplete[key]
		b = appendStaged(appendTransactionalID(b, &e.TransactionalID), e.Offsets)
		b = binary.AppendUvarint(b, uint64(len(e.markers)))
		for _, at := range sortedPartitions(e.markers) {
			b = binary.AppendUvarint(appendPartition(b, at), uint64(e.markers[at]))
		}
	}
	return b
}

func (t *transactions) incompleteKeys() []endingKey {
	return slices.SortedFunc(maps.Keys(t.incomplete), func(a, b endingKey) int {
		return cmp.Or(strings.Compare(a.id, b.id), cmp.Compare(a.version, b.version))
	})
}

func (d *decoder) transactions(s *State) {
	version := d.uvarint()
	for i, n := 0, d.count(30); i < n && d.err == nil; i++ {
		t := d.transactionalID()
		if s.transactions.ids[t.ID] != nil {
			d.fail("transactional id %q twice", t.ID)
		}
		s.applyID(t)
	}
	s.transactions.version = max(s.transactions.version, version)
	for i, n := 0, d.count(30); i < n && d.err == nil; i++ {
		e := incomplete{Ended{*d.transactionalID(), d.staged()}, map[segments.Partition]int64{}}
		for j, n := 0, d.count(16+2); j < n && d.err == nil; j++ {
			at := d.partition()
			e.markers[at] = d.int64()
		}
		s.transactions.incomplete[endingKey{e.ID, e.Version}] = e
	}
}
