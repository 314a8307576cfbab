package coordinator

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strings"

	"firn.dev/segments"
)

// Index objects hold the spans of old, merged data, so that not every node needs them in memory:
// FORMAT.md. In a State one span stands for all that an object lists (Span.Listed). They are
// immutable, as segments are, and garbage when nothing refers to them.

const (
	indexPrefix = "indexes/"
	indexMagic  = "FIRNINDX"
)

// IndexKey is where an index object lies in the bucket.
func IndexKey(id segments.ID) string { return indexPrefix + id.String() }

func parseIndexKey(key string) (segments.ID, bool) {
	text, found := strings.CutPrefix(key, indexPrefix)
	if !found {
		return segments.ID{}, false
	}
	id, err := segments.ParseID(text)
	return id, err == nil && IndexKey(id) == key
}

// indexObject is spans of one partition.
type indexObject struct {
	partition segments.Partition
	spans     []Span // ascending, merged, none of them of a kind
}

func (o *indexObject) encode() []byte {
	b := appendHeader(make([]byte, 0, 64+40*len(o.spans)), indexMagic, objectVersion)
	b = appendPartition(b, o.partition)
	b = binary.AppendUvarint(b, uint64(len(o.spans)))
	next := int64(0)
	for i := range o.spans {
		s := &o.spans[i]
		b = append(b, s.Segment[:]...)
		b = binary.AppendUvarint(b, uint64(s.Base-next))
		b = appendSpan(b, s)
		b = binary.AppendUvarint(b, s.Version)
		next = s.Last + 1
	}
	return appendCRC(b)
}

func decodeIndexObject(object []byte) (*indexObject, error) {
	d, err := openObject(object, indexMagic, objectVersion)
	if err != nil {
		return nil, err
	}
	o := &indexObject{partition: d.partition()}
	n := d.count(16 + 6)
	if n == 0 || n > maxListed {
		d.fail("%d spans", n)
	}
	o.spans = make([]Span, 0, max(0, min(n, maxListed)))
	next, length := int64(0), int64(0)
	for i := 0; i < n && d.err == nil; i++ {
		segment := segments.ID(d.id())
		s := d.span(segment, next+d.upTo(math.MaxInt64-1-next))
		s.Version = d.uvarint()
		if s.Version == 0 || s.Length == 0 || s.Length > math.MaxInt64-length {
			d.fail("span %d-%d of merge %d has %d bytes", s.Base, s.Last, s.Version, s.Length)
		}
		o.spans = append(o.spans, s)
		next, length = s.Last+1, length+s.Length
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return o, nil
}

// listedAs is the span that stands for those of o, which are of that object.
func (o *indexObject) listedAs(id segments.ID) Span {
	s := Span{Segment: id, Listed: uint32(len(o.spans)), MaxTimestamp: math.MinInt64}
	s.Base, s.Last = o.spans[0].Base, o.spans[len(o.spans)-1].Last
	for i := range o.spans {
		s.Length += o.spans[i].Length
		s.MaxTimestamp = max(s.MaxTimestamp, o.spans[i].MaxTimestamp)
	}
	return s
}

// EncodeIndex returns the index object with the given id for merged spans of a partition, in order,
// and the span that stands for them, without its Version. The object lies at IndexKey(id).
func EncodeIndex(at segments.Partition, id segments.ID, spans []Span) (Span, []byte) {
	o := indexObject{at, spans}
	return o.listedAs(id), o.encode()
}

// ReadIndex returns the spans that a Listed span of a partition stands for, in order, with one
// request. It fails with segments.ErrNotFound if the index object is gone (then newer facts
// have replaced it, as with a segment), and with ErrMalformed if it is damaged or does not
// agree with the span.
func ReadIndex(ctx context.Context, store segments.Store, at segments.Partition, span *Span) ([]Span, error) {
	key := IndexKey(span.Segment)
	b, err := store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("index object %s: %w", key, err)
	}
	o, err := decodeIndexObject(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	want := o.listedAs(span.Segment)
	want.Version = span.Version
	if o.partition != at || want != *span {
		return nil, fmt.Errorf("%s: %w: lists %d spans, offsets %d-%d, of %s; should be %d, %d-%d, of %s",
			key, ErrMalformed, want.Listed, want.Base, want.Last,
			o.partition, span.Listed, span.Base, span.Last, at)
	}
	return o.spans, nil
}

// Expand yields spans of a partition with those that stand for others resolved, without spans
// wholly below the offset from, which is mostly the partition's log start. It reads one index
// object at a time, when it comes to it, and ends after an error: see ReadIndex.
func Expand(
	ctx context.Context, store segments.Store, at segments.Partition, spans []Span, from int64,
) iter.Seq2[Span, error] {
	return func(yield func(Span, error) bool) {
		for i := range spans {
			some := spans[i : i+1]
			if some[0].Listed > 0 && some[0].Last >= from {
				var err error
				if some, err = ReadIndex(ctx, store, at, &spans[i]); err != nil {
					yield(Span{}, err)
					return
				}
			}
			for _, s := range some {
				if s.Last >= from && !yield(s, nil) {
					return
				}
			}
		}
	}
}
