package index

import (
	"fmt"
	"sync"

	"firn.dev/coordinator"
	"firn.dev/segments/batch"
)

// tail keeps the segments that this node wrote last, whole, so that who reads what was just written
// costs no request. The oldest leaves first.
//
// Blocks are found by the whole span, offsets included: when a commit is lost in a recovery and
// made again, the same bytes of the same segment may get other offsets, and the older ones must not
// be found.
type tail struct {
	limit int64

	mu     sync.RWMutex
	bytes  int64
	blocks map[coordinator.Span]*block
	queue  []kept // oldest first
}

// kept is one segment in the tail.
type kept struct {
	spans  []coordinator.Span
	blocks []block
	size   int64
}

func newTail(limit int64) *tail {
	return &tail{limit: limit, blocks: map[coordinator.Span]*block{}}
}

func (t *tail) get(span coordinator.Span) *block {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.blocks[span]
}

func (t *tail) held() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.bytes
}

// keep takes a segment in, unless it is larger than the whole tail may be.
func (t *tail) keep(spans []coordinator.CommitSpan, object []byte) error {
	if int64(len(object)) > t.limit || len(spans) == 0 {
		return nil
	}
	k, err := dissect(spans, object)
	if err != nil || k.size > t.limit {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.bytes+k.size > t.limit {
		t.dropOldest()
	}
	for i, span := range k.spans {
		t.blocks[span] = &k.blocks[i]
	}
	t.bytes += k.size
	t.queue = append(t.queue, k)
	return nil
}

// dropOldest lets the oldest segment go. The caller holds mu.
func (t *tail) dropOldest() {
	oldest := t.queue[0]
	t.queue[0] = kept{}
	t.queue = t.queue[1:]
	for i, span := range oldest.spans {
		if t.blocks[span] == &oldest.blocks[i] { // a segment kept twice is found in its newer place
			delete(t.blocks, span)
		}
	}
	t.bytes -= oldest.size
}

func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit, t.bytes, t.queue = 0, 0, nil
	clear(t.blocks)
}

// dissect finds the batches of each span of a segment. Their starts share one array.
func dissect(spans []coordinator.CommitSpan, object []byte) (kept, error) {
	k := kept{spans: make([]coordinator.Span, len(spans)), blocks: make([]block, len(spans)), size: int64(len(object))}
	var starts []int32
	for i := range spans {
		span := spans[i].Span
		if span.Position < 0 || span.Length < 1 || span.Length > int64(len(object))-span.Position {
			return kept{}, fmt.Errorf("%w: span of bytes %d to %d in a segment of %d", ErrCorrupt, span.Position,
				span.Position+span.Length, len(object))
		}
		bytes := object[span.Position : span.Position+span.Length : span.Position+span.Length]
		first, next, pos := len(starts), span.Base, int32(0)
		for h, err := range batch.All(bytes) {
			if err != nil {
				return kept{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
			if h.BaseOffset != next {
				return kept{}, fmt.Errorf("%w: a batch has offset %d where %d comes next", ErrCorrupt, h.BaseOffset, next)
			}
			starts = append(starts, pos)
			next += int64(h.LastOffsetDelta) + 1
			pos += int32(h.Size())
		}
		if next != span.Last+1 {
			return kept{}, fmt.Errorf("%w: offsets up to %d in a span up to %d", ErrCorrupt, next-1, span.Last)
		}
		k.spans[i] = span
		k.blocks[i] = block{bytes: bytes, starts: starts[first:len(starts):len(starts)]}
	}
	k.size += int64(cap(object)-len(object)) + 4*int64(cap(starts)) + blockOverhead*int64(len(spans))
	return k, nil
}
