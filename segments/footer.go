package segments

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
)

const (
	footerLen = 20 // without its entries
	entryLen  = 88 // without its batch positions
)

// Compare orders partitions as the runs of a mixed segment are ordered.
func (p Partition) Compare(q Partition) int {
	return cmp.Or(bytes.Compare(p.Topic[:], q.Topic[:]), cmp.Compare(p.Index, q.Index))
}

func appendFooter(b []byte, id ID, runs []Run) []byte {
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(runs)))
	for i := range runs {
		b = appendEntry(b, &runs[i])
	}
	return b
}

func appendEntry(b []byte, r *Run) []byte {
	be := binary.BigEndian
	b = append(b, r.Partition.Topic[:]...)
	b = be.AppendUint32(b, uint32(r.Partition.Index))
	b = be.AppendUint64(b, uint64(r.Position))
	b = be.AppendUint64(b, uint64(r.Length))
	b = be.AppendUint32(b, r.CRC)
	b = be.AppendUint64(b, uint64(r.BaseOffset))
	b = be.AppendUint64(b, uint64(r.LastOffset))
	b = be.AppendUint64(b, uint64(r.Records))
	b = be.AppendUint64(b, uint64(r.MinTimestamp))
	b = be.AppendUint64(b, uint64(r.MaxTimestamp))
	b = be.AppendUint32(b, uint32(len(r.Batches)))
	b = be.AppendUint32(b, 0)
	for _, position := range r.Batches {
		b = be.AppendUint32(b, uint32(position))
	}
	return b
}

// parseFooter reads a footer whose CRC has been checked, and checks everything that it says about
// itself: what remains to be checked against the body is Validate's.
func parseFooter(b []byte, kind Kind, footerPosition int64) (ID, []Run, error) {
	if len(b) < footerLen {
		return ID{}, nil, corrupt("footer of %d bytes", len(b))
	}
	id, n := ID(b[:16]), int(binary.BigEndian.Uint32(b[16:]))
	b = b[footerLen:]
	if n < 1 || n > len(b)/entryLen {
		return id, nil, corrupt("%d runs in %d bytes of footer", n, len(b))
	}
	runs := make([]Run, n)
	positions := make([]int32, (len(b)-n*entryLen)/4) // of all batches of all runs
	for i := range runs {
		var err error
		if b, positions, err = parseEntry(&runs[i], b, positions); err != nil {
			return id, nil, err
		}
	}
	if len(b) != 0 {
		return id, nil, corrupt("%d bytes behind the last entry", len(b))
	}
	return id, runs, checkRuns(runs, kind, footerPosition)
}

// parseEntry reads one entry into r and returns what is left of the footer and of the room for
// batch positions.
func parseEntry(r *Run, b []byte, positions []int32) ([]byte, []int32, error) {
	if len(b) < entryLen {
		return nil, nil, corrupt("footer ends within an entry")
	}
	n, err := parseEntryHead(r, b)
	b = b[entryLen:]
	if err == nil && (n > len(positions) || n > len(b)/4) {
		err = corrupt("run with %d batches", n)
	}
	if err != nil {
		return nil, nil, err
	}
	r.Batches = positions[:n:n]
	for i := range r.Batches {
		r.Batches[i] = int32(binary.BigEndian.Uint32(b[4*i:]))
	}
	return b[4*n:], positions[n:], nil
}

// parseEntryHead reads an entry up to the positions of its batches, and returns how many of these
// follow.
func parseEntryHead(r *Run, b []byte) (batches int, err error) {
	be := binary.BigEndian
	r.Partition = Partition{TopicID(b[:16]), int32(be.Uint32(b[16:]))}
	r.Position = int64(be.Uint64(b[20:]))
	r.Length = int64(be.Uint64(b[28:]))
	r.CRC = be.Uint32(b[36:])
	r.BaseOffset = int64(be.Uint64(b[40:]))
	r.LastOffset = int64(be.Uint64(b[48:]))
	r.Records = int64(be.Uint64(b[56:]))
	r.MinTimestamp = int64(be.Uint64(b[64:]))
	r.MaxTimestamp = int64(be.Uint64(b[72:]))
	n, zero := be.Uint32(b[80:]), be.Uint32(b[84:])
	if zero != 0 || n < 1 || n > maxFooterLen/4 {
		return 0, corrupt("run with %d batches", n)
	}
	return int(n), nil
}

// checkRuns checks that the runs tile the body, that they are in order, and each in itself.
func checkRuns(runs []Run, kind Kind, footerPosition int64) error {
	var before *Run
	for i := range runs {
		r := &runs[i]
		err := checkRun(r, before, kind, footerPosition)
		switch {
		case err != nil:
		case kind == Mixed && r.Length > MaxRunBytes && len(r.Batches) > 1:
			err = corrupt("not cut at %d bytes", MaxRunBytes)
		case kind == Mixed && r.Records < int64(len(r.Batches)):
			err = corrupt("%d records in %d batches", r.Records, len(r.Batches))
		case !ascending(r.Batches, r.Length):
			err = corrupt("batch positions out of order")
		}
		if err != nil {
			return corrupt("run %d: %w", i, err)
		}
		before = r
	}
	return checkEnd(before, footerPosition)
}

// checkRun checks all of a run but its batches. before is the run before it, or nil.
func checkRun(r, before *Run, kind Kind, footerPosition int64) error {
	at := int64(headerLen)
	if before != nil {
		at = before.Position + before.Length
	}
	switch {
	case r.Position != at || r.Length < 1 || r.Length > math.MaxInt32 || r.Length > footerPosition-at:
		return corrupt("%d bytes at %d, expected at %d", r.Length, r.Position, at)
	case r.Partition.Index < 0:
		return corrupt("partition %d", r.Partition.Index)
	case r.Records < 0:
		return corrupt("%d records", r.Records)
	case before != nil && !follows(r, before, kind):
		return corrupt("out of order")
	}
	return checkOffsets(r, kind)
}

// checkEnd checks that nothing lies between the last run and the footer.
func checkEnd(last *Run, footerPosition int64) error {
	if at := last.Position + last.Length; at != footerPosition {
		return corrupt("footer at %d, but the last run ends at %d", footerPosition, at)
	}
	return nil
}

func ascending(positions []int32, length int64) bool {
	if positions[0] != 0 || int64(positions[len(positions)-1]) >= length {
		return false
	}
	for i := 1; i < len(positions); i++ {
		if positions[i] <= positions[i-1] {
			return false
		}
	}
	return true
}

// follows says whether r may stand directly behind the run before it.
func follows(r, before *Run, kind Kind) bool {
	if kind == Mixed {
		return before.Partition.Compare(r.Partition) <= 0
	}
	return before.Partition == r.Partition && before.LastOffset < r.BaseOffset
}

func checkOffsets(r *Run, kind Kind) error {
	if kind == Mixed {
		if r.BaseOffset != -1 || r.LastOffset != -1 {
			return corrupt("offsets %d to %d in a mixed segment", r.BaseOffset, r.LastOffset)
		}
		return nil
	}
	if r.BaseOffset < 0 || r.LastOffset < r.BaseOffset || r.Records-1 > r.LastOffset-r.BaseOffset {
		return corrupt("%d records in offsets %d to %d", r.Records, r.BaseOffset, r.LastOffset)
	}
	return nil
}
