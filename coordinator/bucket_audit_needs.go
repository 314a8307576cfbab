package coordinator

import (
	"context"
	"slices"

	"firn.dev/segments"
)

// need is what refers to a segment, or to an index object.
type need struct {
	id    segments.ID
	at    int32 // of one of the spans: in needs.partitions
	spans int32
	index bool
	seen  bool // the object is in the bucket
}

// needs are all objects that a state needs, 28 bytes for each: one for each segment of the bucket
// that is referred to.
type needs struct {
	partitions []segments.Partition
	list       []need // ordered by id, once take has returned
	dense      int    // of them, that are sorted and each there once
	gone       int    // index objects that are missing: what they list is not known
}

func compareNeeds(a, b need) int {
	if c := compareIDs(a.id, b.id); c != 0 || a.index == b.index {
		return c
	}
	if b.index {
		return -1
	}
	return 1
}

// take adds what a state needs.
func (s *needs) take(ctx context.Context, l loader, state *State) error {
	var todo []archived
	for at, p := range state.partitions {
		s.partitions = append(s.partitions, at)
		for span := range p.allSpans() {
			s.add(need{id: span.Segment, at: int32(len(s.partitions) - 1), spans: 1, index: span.Listed > 0})
			if span.Listed > 0 {
				todo = append(todo, archived{at, *span, p.logStart})
			}
		}
		if err := s.read(ctx, l, todo); err != nil {
			return err
		}
		todo = todo[:0]
	}
	s.sort()
	return nil
}

// read adds what index objects of the newest partition list.
func (s *needs) read(ctx context.Context, l loader, todo []archived) error {
	for some := range slices.Chunk(todo, defaultParallel) {
		r := references{archived: some}
		gone, err := r.read(ctx, l, &idSet{})
		if err != nil {
			return err
		}
		s.gone += len(gone)
		for _, id := range r.segments.ids {
			s.add(need{id: id, at: int32(len(s.partitions) - 1), spans: 1})
		}
	}
	return nil
}

func (s *needs) add(n need) {
	s.list = append(s.list, n)
	if len(s.list) > 2*s.dense+4096 { // a mixed segment comes once for each of its partitions
		s.sort()
	}
}

func (s *needs) sort() {
	slices.SortFunc(s.list, compareNeeds)
	kept := s.list[:0]
	for _, n := range s.list {
		if last := len(kept) - 1; last >= 0 && compareNeeds(kept[last], n) == 0 {
			kept[last].spans += n.spans
		} else {
			kept = append(kept, n)
		}
	}
	s.list, s.dense = kept, len(kept)
}

// find returns what refers to an object; nil if nothing does.
func (s *needs) find(id segments.ID, index bool) *need {
	at, found := slices.BinarySearchFunc(s.list, need{id: id, index: index}, compareNeeds)
	if !found {
		return nil
	}
	return &s.list[at]
}
