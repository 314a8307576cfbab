package rest

import (
	"context"

	"firn.dev/index"
	"firn.dev/segments"
)

// parsePlace reads what parameters and fields called name say.
func parsePlace(name, text string) (index.Place, error) {
	p, err := index.ParsePlace(text)
	if err != nil {
		return p, invalid(name, "is %q; it has to be earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z", text)
	}
	return p, nil
}

// placeOf reads the parameters offset and from; without any of them it is the beginning.
func (q *query) placeOf() (index.Place, error) {
	switch {
	case q.values.Has("offset") && q.values.Has("from"):
		return index.Place{}, invalid("from", "and offset are two ways to say the same; give one")
	case q.values.Has("offset"):
		return index.AtOffset(q.number("offset", 0, 0, 1<<62)), q.err
	}
	return parsePlace("from", q.text("from", "earliest"))
}

// newest says that a place lies where other nodes may know more than this one.
func newest(p index.Place) bool {
	_, byTime := p.Millis()
	return byTime || p == index.Latest
}

// offsetOf is the offset of a place in a partition.
func (s *Server) offsetOf(ctx context.Context, at segments.Partition, p index.Place) (int64, error) {
	info, _ := s.view().Partition(at)
	return s.opts.Index.Find(ctx, at, p, info)
}
