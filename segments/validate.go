package segments

import (
	"math"

	"firn.dev/segments/batch"
)

// Decode reads the index of a whole segment. It checks header, footer and trailer, not the runs:
// that is Validate.
func Decode(object []byte) (Index, error) {
	kind, id, err := parseHeader(object)
	if err != nil {
		return Index{}, err
	}
	t, err := parseTrailer(object)
	if err != nil {
		return Index{}, err
	}
	if t.footer+t.length+trailerLen != int64(len(object)) {
		return Index{}, corrupt("footer of %d bytes at %d in %d bytes", t.length, t.footer, len(object))
	}
	index, err := parseEnd(object[t.footer:], t)
	if err == nil && (index.Kind != kind || index.ID != id) {
		err = corrupt("header says %d %s, the end says %d %s", kind, id, index.Kind, index.ID)
	}
	return index, err
}

// Validate checks every invariant of a segment: all of Decode's, each run's CRC and each batch's,
// and that what the index says of the batches is what they are.
func Validate(object []byte) error {
	index, err := Decode(object)
	if err != nil {
		return err
	}
	for i := range index.Runs {
		r := &index.Runs[i]
		if err := validateRun(object[r.Position:r.Position+r.Length], r, index.Kind); err != nil {
			return corrupt("run %d: %w", i, err)
		}
	}
	return nil
}

func validateRun(b []byte, r *Run, kind Kind) error {
	if checksum(b) != r.CRC {
		return badCRC("bytes")
	}
	got := Run{MinTimestamp: math.MaxInt64, MaxTimestamp: math.MinInt64, BaseOffset: -1, LastOffset: -1}
	for i, position := range r.Batches {
		end := r.Length
		if i+1 < len(r.Batches) {
			end = int64(r.Batches[i+1])
		}
		h, err := validateBatch(b[position:end], kind)
		if err != nil {
			return corrupt("batch %d: %w", i, err)
		}
		if kind == Merged {
			if h.BaseOffset <= got.LastOffset {
				return corrupt("batch %d: offset %d again", i, h.BaseOffset)
			}
			if i == 0 {
				got.BaseOffset = h.BaseOffset
			}
			got.LastOffset = h.BaseOffset + int64(h.LastOffsetDelta)
		}
		got.Records += int64(h.Records)
		got.MinTimestamp = min(got.MinTimestamp, h.BaseTimestamp)
		got.MaxTimestamp = max(got.MaxTimestamp, h.MaxTimestamp)
	}
	if got.Records != r.Records || got.MinTimestamp != r.MinTimestamp || got.MaxTimestamp != r.MaxTimestamp ||
		got.BaseOffset != r.BaseOffset || got.LastOffset != r.LastOffset {
		return corrupt("index says offsets %d to %d, %d records, times %d to %d; batches say %d to %d, %d, %d to %d",
			r.BaseOffset, r.LastOffset, r.Records, r.MinTimestamp, r.MaxTimestamp,
			got.BaseOffset, got.LastOffset, got.Records, got.MinTimestamp, got.MaxTimestamp)
	}
	return nil
}

// validateBatch checks a batch and what its kind of segment wants of it: where records were
// compacted away, a batch has fewer than offsets.
func validateBatch(b []byte, kind Kind) (batch.Header, error) {
	check := batch.Check
	if kind == Merged {
		check = batch.CheckBytes
	}
	h, err := check(b)
	switch {
	case err != nil:
		return h, err
	case h.LeaderEpoch != 0 || h.BaseOffset < 0 || kind == Mixed && h.BaseOffset != 0:
		return h, corrupt("base offset %d, leader epoch %d", h.BaseOffset, h.LeaderEpoch)
	case h.Records < 0 || h.Records-1 > h.LastOffsetDelta:
		return h, corrupt("%d records, last offset delta %d", h.Records, h.LastOffsetDelta)
	}
	return h, nil
}
