package coordinator

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"firn.dev/segments"
)

// idSet is a set of ids, 16 bytes for each, and up to three times that while it grows.
type idSet struct {
	ids   []segments.ID
	dense int // of them, that are sorted and each there once
}

func compareIDs(a, b segments.ID) int { return bytes.Compare(a[:], b[:]) }

func (s *idSet) add(id segments.ID) {
	s.ids = append(s.ids, id)
	if len(s.ids) > 2*s.dense+4096 { // a mixed segment comes once for each of its partitions
		s.sort()
	}
}

// sort has to be called before has.
func (s *idSet) sort() {
	if s.dense < len(s.ids) {
		slices.SortFunc(s.ids, compareIDs)
		s.ids = slices.Compact(s.ids)
		s.dense = len(s.ids)
	}
}

func (s *idSet) has(id segments.ID) bool {
	_, found := slices.BinarySearchFunc(s.ids, id, compareIDs)
	return found
}

// archived is a span that stands for others, of which only those count that do not
// lie wholly below from.
type archived struct {
	at   segments.Partition
	span Span
	from int64
}

// references are the objects that spans refer to. The segments that index objects list are among
// them only once read has been called.
type references struct {
	segments idSet
	indexes  idSet
	archived []archived // those of indexes
}

func (r *references) add(at segments.Partition, s *Span, logStart int64) {
	if s.Listed == 0 {
		r.segments.add(s.Segment)
		return
	}
	r.indexes.add(s.Segment)
	r.archived = append(r.archived, archived{at, *s, logStart})
}

// references are the objects that the spans of a state refer to, including spans that wait, for
// offsets before them or for an earlier merge, and spans in doubt.
func (s *State) references() *references {
	r := &references{}
	for at, p := range s.partitions {
		for span := range p.allSpans() {
			r.add(at, span, p.logStart)
		}
	}
	for i := range s.doubts {
		r.segments.add(s.doubts[i].Span.Segment)
	}
	r.sort()
	return r
}

// carriers are the segments that spans refer to and that journal objects carry.
func (s *State) carriers() *idSet {
	set := &idSet{}
	add := func(id segments.ID) {
		if _, _, carried := id.Carrier(); carried {
			set.add(id)
		}
	}
	for _, p := range s.partitions {
		for span := range p.allSpans() {
			add(span.Segment)
		}
	}
	for i := range s.doubts {
		add(s.doubts[i].Span.Segment)
	}
	set.sort()
	return set
}

// references are the objects that readers of the view may need. It looks at spans without the
// lock: nobody changes them.
func (v *View) references() *references {
	type part struct {
		at       segments.Partition
		spans    []placed
		logStart int64
	}
	v.mu.RLock()
	parts := make([]part, 0, len(v.state.partitions))
	for at, p := range v.state.partitions {
		parts = append(parts, part{at, p.spans, p.logStart})
	}
	v.mu.RUnlock()
	r := &references{}
	for _, p := range parts {
		for i := range p.spans {
			r.add(p.at, &p.spans[i].Span, p.logStart)
		}
	}
	r.sort()
	return r
}

func (r *references) sort() {
	r.segments.sort()
	r.indexes.sort()
}

// read adds the segments that index objects list, except those in known, and returns which of the
// objects are gone. It reads several at once.
func (r *references) read(ctx context.Context, l loader, known *idSet) (gone []archived, err error) {
	todo := slices.DeleteFunc(slices.Clone(r.archived), func(a archived) bool { return known.has(a.span.Segment) })
	var mu sync.Mutex
	err = l.each(ctx, len(todo), func(ctx context.Context, i int) error {
		a := &todo[i]
		spans, err := ReadIndex(ctx, l.store, a.at, &a.span)
		mu.Lock()
		defer mu.Unlock()
		if errors.Is(err, segments.ErrNotFound) {
			gone = append(gone, *a)
			return nil
		}
		for i := range spans {
			if spans[i].Last >= a.from {
				r.segments.add(spans[i].Segment)
			}
		}
		return err
	})
	r.sort()
	return gone, err
}

// has says whether something refers to a segment, or to an index object.
func (r *references) has(id segments.ID, index bool) bool {
	if index {
		return r.indexes.has(id)
	}
	return r.segments.has(id)
}

// parseReferredKey reads the key of something that spans refer to: a segment, or an index object.
func parseReferredKey(key string) (id segments.ID, index, ok bool) {
	if id, ok = parseIndexKey(key); ok {
		return id, true, true
	}
	id, ok = parseSegmentKey(key)
	return id, false, ok
}

func referredKey(id segments.ID, index bool) string {
	if index {
		return IndexKey(id)
	}
	return id.Key()
}
