package index

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Place is where in a partition to begin, inclusive, or to end, exclusive. The zero value is
// Earliest.
type Place struct {
	kind  placeKind
	value int64
}

type placeKind int8

const (
	atEarliest placeKind = iota
	atLatest
	atOffset
	atTime
)

// Places that every partition has: its first record that is still there, and behind its last one.
var (
	Earliest = Place{}
	Latest   = Place{kind: atLatest}
)

// AtOffset is an offset, whether the partition has it or not.
func AtOffset(offset int64) Place { return Place{atOffset, offset} }

// AtTime is the first record with this timestamp or a later one.
func AtTime(t time.Time) Place { return Place{atTime, t.UnixMilli()} }

// errPlace is what is wrong with a text that names no place.
var errPlace = errors.New("is none of earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z")

// ParsePlace reads earliest, latest, an offset, or an RFC 3339 time.
func ParsePlace(text string) (Place, error) {
	switch text {
	case "earliest":
		return Earliest, nil
	case "latest":
		return Latest, nil
	}
	if offset, err := strconv.ParseInt(text, 10, 64); err == nil {
		if offset < 0 {
			return Place{}, fmt.Errorf("%q %w: offsets start at 0", text, errPlace)
		}
		return AtOffset(offset), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return Place{}, fmt.Errorf("%q %w", text, errPlace)
	}
	return AtTime(t), nil
}

func (p Place) String() string {
	switch p.kind {
	case atOffset:
		return strconv.FormatInt(p.value, 10)
	case atTime:
		return time.UnixMilli(p.value).UTC().Format(time.RFC3339Nano)
	case atLatest:
		return "latest"
	}
	return "earliest"
}

// Offset is the offset that the place names; 0 and false if it names none.
func (p Place) Offset() (offset int64, is bool) { return p.as(atOffset) }

// Millis is the timestamp that the place names; 0 and false if it names none.
func (p Place) Millis() (millis int64, is bool) { return p.as(atTime) }

func (p Place) as(kind placeKind) (int64, bool) {
	if p.kind != kind {
		return 0, false
	}
	return p.value, true
}

// Find returns the offset of a place in a partition of which info is known. An offset that the
// partition does not have is returned as it is.
func (x *Index) Find(ctx context.Context, p segments.Partition, from Place,
	info coordinator.PartitionInfo) (int64, error) {
	switch from.kind {
	case atEarliest:
		return info.LogStart, nil
	case atOffset:
		return from.value, nil
	case atTime:
		found, some, err := x.ByTime(ctx, p, from.value)
		if err != nil {
			return 0, err
		}
		if some {
			return found.Offset, nil
		}
	}
	return info.HighWatermark, nil
}
