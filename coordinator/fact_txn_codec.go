package coordinator

import "encoding/binary"

// The bytes of transactional ids, markers and endings, in facts and snapshots: FORMAT.md.

// transactionsVersion is of commits with transactional batches, markers or endings.
const transactionsVersion = 3

func (c *Commit) hasTransactions() bool {
	if len(c.Endings) > 0 {
		return true
	}
	for i := range c.Spans {
		if c.Spans[i].Marker != nil || hasOrdinals(c.Spans[i].Producers) {
			return true
		}
	}
	return false
}

func hasOrdinals(batches []ProducerBatch) bool {
	for i := range batches {
		if batches[i].Ordinal > 0 {
			return true
		}
	}
	return false
}

// appendTransactionalID begins with version and time, which Redis writes.
func appendTransactionalID(b []byte, t *TransactionalID) []byte {
	b = binary.BigEndian.AppendUint64(b, t.Version)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Time))
	b = appendString(b, t.ID)
	b = binary.AppendUvarint(b, uint64(t.ProducerID))
	b = binary.AppendUvarint(b, uint64(t.Epoch))
	b = binary.AppendUvarint(b, uint64(t.TimeoutMillis))
	b = binary.AppendUvarint(b, uint64(t.PreviousEpoch+1))
	b = binary.AppendUvarint(b, t.Ordinal)
	b = appendBool(appendBool(b, t.Aborting), t.Gone)
	b = binary.AppendVarint(b, t.Started)
	b = binary.AppendUvarint(b, uint64(len(t.Added)))
	for _, at := range t.Added {
		b = appendPartition(b, at)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Groups)))
	for _, group := range t.Groups {
		b = appendString(b, group)
	}
	b = appendStaged(b, t.Staged)
	b = append(b, byte(t.Result))
	b = binary.AppendUvarint(b, uint64(t.EndedProducerID+1))
	return binary.AppendUvarint(b, uint64(t.EndedEpoch+1))
}

func (d *decoder) transactionalID() *TransactionalID {
	t := &TransactionalID{Version: d.uint64(), Time: int64(d.uint64()), ID: d.string(), ProducerID: d.int64(),
		Epoch:         d.int16(),
		TimeoutMillis: d.int32(), PreviousEpoch: d.int16() - 1, Ordinal: d.uvarint(), Aborting: d.bool(), Gone: d.bool(),
		Started: d.varint()}
	for i, n := 0, d.count(16+1); i < n && d.err == nil; i++ {
		t.Added = append(t.Added, d.partition())
	}
	for i, n := 0, d.count(1); i < n && d.err == nil; i++ {
		t.Groups = append(t.Groups, d.string())
	}
	t.Staged = d.staged()
	t.Result, t.EndedProducerID, t.EndedEpoch = d.result(), d.int64()-1, d.int16()-1
	if d.err == nil && (t.ID == "" || t.Ordinal == 0) {
		d.fail("transactional id %q in its transaction %d", t.ID, t.Ordinal)
	}
	return t
}

func (d *decoder) result() Result {
	r := Result(d.byte())
	if r > Aborted {
		d.fail("a transaction's result %d", r)
	}
	return r
}

func appendStaged(b []byte, staged []StagedOffsets) []byte {
	b = binary.AppendUvarint(b, uint64(len(staged)))
	for i := range staged {
		s := &staged[i]
		b = binary.AppendUvarint(appendString(b, s.Group), s.Epoch)
		b = binary.AppendUvarint(b, uint64(len(s.Partitions)))
		for j := range s.Partitions {
			p := &s.Partitions[j]
			b = appendCommitted(binary.AppendUvarint(appendPartition(b, p.Partition), p.Version), &p.GroupOffset, true)
		}
	}
	return b
}

func (d *decoder) staged() (staged []StagedOffsets) {
	for i, n := 0, d.count(3); i < n && d.err == nil; i++ {
		s := StagedOffsets{Group: d.string(), Epoch: d.uvarint()}
		for j, n := 0, d.count(16+6); j < n && d.err == nil; j++ {
			at := d.partition()
			s.Partitions = append(s.Partitions, StagedOffset{d.uvarint(), d.committed(at, true)})
		}
		staged = append(staged, s)
	}
	return staged
}

// appendOrdinals appends in which transactions the batches of a span were admitted, and whose
// marker it is.
func appendOrdinals(b []byte, batches []ProducerBatch, marker *Marker) []byte {
	for i := range batches {
		b = binary.AppendUvarint(b, batches[i].Ordinal)
	}
	b = appendBool(b, marker != nil)
	if marker != nil {
		b = binary.AppendUvarint(b, uint64(marker.ProducerID))
		b = append(binary.AppendUvarint(b, marker.Ordinal), byte(marker.Result))
	}
	return b
}

func (d *decoder) ordinals(span *Span, batches []ProducerBatch) (marker *Marker) {
	for i := range batches {
		batches[i].Ordinal = d.uvarint()
	}
	if d.bool() {
		marker = &Marker{d.int64(), d.uvarint(), d.result()}
		if span.Base != span.Last || len(batches) > 0 || marker.Result == NoResult {
			d.fail("a marker at offsets %d-%d, with result %d", span.Base, span.Last, marker.Result)
		}
	}
	return marker
}

// AppendStaged appends offsets as a fact has them.
func AppendStaged(b []byte, staged []StagedOffsets) []byte { return appendStaged(b, staged) }

// DecodeEndings reads so many endings, each a transactional id as behind the head of its fact and
// what it lets count as AppendStaged wrote it.
func DecodeEndings(b []byte, n int) ([]Ended, error) {
	d := &decoder{rest: b}
	endings := make([]Ended, 0, min(n, len(b)))
	for i := 0; i < n && d.err == nil; i++ {
		endings = append(endings, Ended{*d.transactionalID(), d.staged()})
	}
	return endings, d.end()
}

func appendEndings(b []byte, endings []Ended) []byte {
	b = binary.AppendUvarint(b, uint64(len(endings)))
	for i := range endings {
		b = appendStaged(appendTransactionalID(b, &endings[i].TransactionalID), endings[i].Offsets)
	}
	return b
}

func (d *decoder) endings() (endings []Ended) {
	for i, n := 0, d.count(16+14); i < n && d.err == nil; i++ {
		endings = append(endings, Ended{*d.transactionalID(), d.staged()})
	}
	return endings
}
