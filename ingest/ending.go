package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Endings of transactions go with everybody's records: their markers are batches of a segment, and
// its commit decides them. A later life commits a segment again, but not its endings: the
// coordinator refuses what was built in another incarnation.

// markerOf makes the marker of an ending for a partition: a control batch as Kafka's, at a time in
// milliseconds.
func markerOf(e *coordinator.Ending, p segments.Partition, millis int64) (Batch, error) {
	key := make([]byte, 4) // version 0, type
	if e.Result == coordinator.Committed {
		binary.BigEndian.PutUint16(key[2:], 1)
	}
	value := make([]byte, 6) // version 0, epoch of the transaction coordinator
	bytes, err := batch.Build([]batch.Record{{Timestamp: millis, Key: key, Value: value}},
		batch.Options{ProducerID: e.ProducerID,
			ProducerEpoch: e.Epoch, BaseSequence: -1, Transactional: true, Control: true})
	if err != nil {
		return Batch{}, err
	}
	h, err := batch.ReadHeader(bytes)
	return Batch{Partition: p, Header: h, Bytes: bytes, Ending: e}, err
}

// checkMarker refuses a marker that is not of its ending.
func (b *Batch) checkMarker() error {
	if h := &b.Header; h.Records != 1 || h.ProducerID != b.Ending.ProducerID || h.ProducerEpoch != b.Ending.Epoch ||
		b.Key != nil ||
		b.Protocol != coordinator.NotTransactional {
		return fmt.Errorf("%w: a marker of producer %d, epoch %d, for %+v", batch.ErrCorrupt, h.ProducerID,
			h.ProducerEpoch, *b.Ending)
	}
	return b.Ending.Validate()
}

// makeRoom sees to it that the markers of an ending come into one segment, and no second ending of
// an id with them; and so for an atomic request. The caller holds mu.
func (w *Writer) makeRoom(batches []Batch) {
	if w.open != nil && batches[0].Atomic != nil && !w.open.takesAtomic(batches, w.opts.FlushBytes) {
		w.fill()
	}
	if w.open == nil || batches[0].Ending == nil {
		return
	}
	for _, e := range w.open.endings {
		if e.ID == batches[0].Ending.ID {
			w.fill()
			return
		}
	}
	if w.open.asked+len(batches)+1 > coordinator.MaxCommitDecisions {
		w.fill()
	}
}

// endingOf is the number of an ending among those of the segment, from 1.
func (s *segment) endingOf(e *coordinator.Ending) int {
	if e == nil {
		return 0
	}
	for i := range s.endings {
		if s.endings[i] == e {
			return i + 1
		}
	}
	s.endings = append(s.endings, e)
	s.asked++
	return len(s.endings)
}

// refusedEnding is the answer of a marker whose ending was not decided: why.
func refusedEnding(b *coordinator.CommitBatch, a coordinator.BatchAnswer, endings []error) coordinator.BatchAnswer {
	if b.Ending > 0 && b.Ending <= len(endings) && errors.Is(a.Err, coordinator.ErrNotOpenThere) &&
		endings[b.Ending-1] != nil {
		a.Err = endings[b.Ending-1]
	}
	return a
}
