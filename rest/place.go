package rest

import (
	"context"
	"strconv"
	"time"

	"firn.dev/segments"
)

// place is from where on to read: the beginning, the end, an offset, or a time.
type place struct {
	kind   placeKind
	offset int64
	millis int64
}

type placeKind int

const (
	earliest placeKind = iota
	latest
	atOffset
	atTime
)

// parsePlace reads what parameters and fields called name say.
func parsePlace(name, text string) (place, error) {
	switch text {
	case "earliest":
		return place{kind: earliest}, nil
	case "latest":
		return place{kind: latest}, nil
	}
	if offset, err := strconv.ParseInt(text, 10, 64); err == nil && offset >= 0 {
		return place{kind: atOffset, offset: offset}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return place{kind: atTime, millis: t.UnixMilli()}, nil
	}
	return place{}, invalid(name, "is %q; it has to be earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z", text)
}

// placeOf reads the parameters offset and from; without any of them it is the beginning.
func (q *query) placeOf() (place, error) {
	switch {
	case q.values.Has("offset") && q.values.Has("from"):
		return place{}, invalid("from", "and offset are two ways to say the same; give one")
	case q.values.Has("offset"):
		offset := q.number("offset", 0, 0, 1<<62)
		return place{kind: atOffset, offset: offset}, q.err
	}
	return parsePlace("from", q.text("from", "earliest"))
}

// newest says that the place lies where other nodes may know more than this one.
func (p place) newest() bool { return p.kind == latest || p.kind == atTime }

// in is the offset of the place in a partition.
func (s *Server) in(ctx context.Context, at segments.Partition, p place) (int64, error) {
	info, _ := s.view().Partition(at)
	switch p.kind {
	case earliest:
		return info.LogStart, nil
	case latest:
		return info.HighWatermark, nil
	case atOffset:
		return p.offset, nil
	}
	found, ok, err := s.opts.Index.ByTime(ctx, at, p.millis)
	if err != nil {
		return 0, err
	}
	if !ok {
		return info.HighWatermark, nil
	}
	return found.Offset, nil
}
