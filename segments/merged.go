package segments

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"firn.dev/segments/batch"
)

// BlockBytes is where the runs of a merged segment are cut: a reader that seeks an offset or a time
// fetches no more than it needs.
const BlockBytes = 64 << 10

// MergedWriter writes a merged segment of one partition's batches, which come one after the other.
// It holds one run, and the footer: 88 bytes for each run before, and 4 for each batch. It is not
// safe for concurrent use.
type MergedWriter struct {
	w       io.Writer
	id      ID
	next    int64  // the lowest offset that the next batch may begin with
	written int64  // bytes given to w
	body    Run    // all runs that were written, as one
	run     Run    // the one that is being filled
	block   []byte // its bytes
	footer  []byte // of the runs that were written; what it begins with is filled in at the end
	runs    int
	err     error // of w: nothing more is written
}

// NewMerged begins a merged segment that is written to w.
func NewMerged(w io.Writer, id ID, p Partition) *MergedWriter {
	m := &MergedWriter{w: w, id: id, footer: make([]byte, footerLen, 4<<10), body: newRun(p, headerLen, -1)}
	m.write(appendHeader(make([]byte, 0, headerLen), Merged, id))
	return m
}

// Add copies a batch, which has its final base offset and has been checked, its CRC too: that of
// the run is made of it. Its offsets must lie behind those of the batch before. A batch that is
// refused with ErrInput changes nothing; any other error is w's, and final.
func (m *MergedWriter) Add(b []byte) error {
	h, err := wholeBatch(b)
	switch {
	case m.err != nil:
		return m.err
	case err != nil:
		return err
	case h.BaseOffset < m.next || h.LastOffsetDelta < 0 || h.BaseOffset > math.MaxInt64-1-int64(h.LastOffsetDelta):
		return fmt.Errorf("%w: base offset %d, last offset delta %d, where %d or more is next", ErrInput, h.BaseOffset,
			h.LastOffsetDelta, m.next)
	case h.Records < 0 || h.Records-1 > h.LastOffsetDelta:
		return fmt.Errorf("%w: %d records, last offset delta %d", ErrInput, h.Records, h.LastOffsetDelta)
	case m.footerSize()+entryLen+4 > maxFooterLen || m.Size()+int64(len(b))+entryLen+4 > maxObjectLen:
		return fmt.Errorf("%w: the segment is full with %d bytes in %d runs", ErrInput, m.Size(), m.runs)
	}
	if len(m.block) > 0 && len(m.block)+len(b) > BlockBytes {
		if err := m.flush(); err != nil {
			return err
		}
	}
	start := len(m.block)
	if start == 0 {
		positions := m.run.Batches[:0]
		m.run = newRun(m.body.Partition, m.written, h.BaseOffset)
		m.run.Batches = positions
	}
	m.block = append(m.block, b...)
	batch.SetBaseOffset(m.block[start:], h.BaseOffset)
	m.run.count(h, m.block[start:])
	m.run.LastOffset = h.BaseOffset + int64(h.LastOffsetDelta)
	m.run.Batches = append(m.run.Batches, int32(start))
	m.next = m.run.LastOffset + 1
	return nil
}

// flush writes the run that was filled.
func (m *MergedWriter) flush() error {
	if m.write(m.block); m.err != nil {
		return m.err
	}
	m.footer = appendEntry(m.footer, &m.run)
	m.runs++
	if m.body.BaseOffset < 0 {
		m.body.BaseOffset = m.run.BaseOffset
	}
	m.body.LastOffset = m.run.LastOffset
	m.body.Length += m.run.Length
	m.body.Records += m.run.Records
	m.body.MinTimestamp = min(m.body.MinTimestamp, m.run.MinTimestamp)
	m.body.MaxTimestamp = max(m.body.MaxTimestamp, m.run.MaxTimestamp)
	m.block = m.block[:0]
	return nil
}

func (m *MergedWriter) write(b []byte) {
	if m.err == nil {
		_, m.err = m.w.Write(b)
		m.written += int64(len(b))
	}
}

// footerSize is how long the footer would be if there came no more.
func (m *MergedWriter) footerSize() int {
	if len(m.block) == 0 {
		return len(m.footer)
	}
	return len(m.footer) + entryLen + 4*len(m.run.Batches)
}

// Size is how long the object would be if there came no more.
func (m *MergedWriter) Size() int64 {
	return m.written + int64(len(m.block)) + int64(m.footerSize()) + trailerLen
}

// Finish writes what is left, footer and trailer. It returns the body as one run, without CRC and
// batches: what a span of the whole segment says. The writer cannot be used again.
func (m *MergedWriter) Finish() (Run, error) {
	if m.err == nil && m.next == 0 {
		return Run{}, fmt.Errorf("%w: there are none", ErrInput)
	}
	if len(m.block) > 0 && m.err == nil {
		_ = m.flush() // m.err has it
	}
	copy(m.footer, m.id[:])
	binary.BigEndian.PutUint32(m.footer[len(m.id):], uint32(m.runs))
	t := trailer{kind: Merged, footer: m.written, length: int64(len(m.footer)), crc: checksum(m.footer)}
	m.write(m.footer)
	m.write(t.append(make([]byte, 0, trailerLen)))
	if m.err != nil {
		return Run{}, m.err
	}
	m.err = fmt.Errorf("%w: the segment is finished", ErrInput)
	return m.body, nil
}
