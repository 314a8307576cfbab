package spans

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

var part = segments.Partition{Topic: segments.TopicID{1}, Index: 3}

// bucket is a store that counts gets, and what a test has written into it.
type bucket struct {
	segments.Store
	gets  atomic.Int64
	next  int64 // offset
	nth   byte
	spans []coordinator.Span
	want  [][]byte
}

func (b *bucket) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	b.gets.Add(1)
	return b.Store.Get(ctx, key, offset, length)
}

// batches makes n batches, of which the first begins at the next offset.
func (b *bucket) batches(t *testing.T, n int, size int) (made [][]byte) {
	for range n {
		records := make([]batch.Record, 1+rand.IntN(3))
		for i := range records {
			value := bytes.Repeat([]byte{byte(rand.Uint32())}, 1+rand.IntN(size))
			records[i] = batch.Record{Value: value, Timestamp: 1000 + b.next}
		}
		one, err := batch.Build(records, batch.NoProducer(batch.None))
		if err != nil {
			t.Fatal(err)
		}
		batch.SetBaseOffset(one, b.next)
		b.next += int64(len(records))
		made = append(made, one)
	}
	b.want = append(b.want, made...)
	return made
}

func (b *bucket) id() (id segments.ID) {
	b.nth++
	id[15] = b.nth
	return id
}

// mixed writes a segment in which other partitions lie around the one that is read.
func (b *bucket) mixed(t *testing.T, n, size int) {
	id, base := b.id(), b.next
	data := []segments.RunData{
		{Partition: segments.Partition{Topic: part.Topic, Index: 2}},
		{Partition: part},
		{Partition: segments.Partition{Topic: part.Topic, Index: 4}},
	}
	for _, one := range b.batches(t, n, size) {
		zero := bytes.Clone(one)
		batch.SetBaseOffset(zero, 0)
		for i := range data {
			data[i].Batches = append(data[i].Batches, zero)
		}
	}
	object, runs, err := segments.EncodeMixed(id, data)
	if err == nil {
		err = b.Put(t.Context(), id.Key(), object)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if r.Partition == part {
			span := coordinator.Span{Segment: id, Base: base, Last: base + r.Records - 1}
			span.Position, span.Length = r.Position, r.Length
			b.spans = append(b.spans, span)
			base += r.Records
		}
	}
}

// merged writes a merged segment, behind a hole.
func (b *bucket) merged(t *testing.T, n, size int) {
	b.next += int64(rand.IntN(3))
	id := b.id()
	u, err := b.Create(t.Context(), id.Key())
	if err != nil {
		t.Fatal(err)
	}
	w := segments.NewMerged(u, id, part)
	for _, one := range b.batches(t, n, size) {
		if err := w.Add(one); err != nil {
			t.Fatal(err)
		}
	}
	body, err := w.Finish()
	if err == nil {
		err = u.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	b.spans = append(b.spans, coordinator.Span{Segment: id, Base: body.BaseOffset, Last: body.LastOffset,
		Position: body.Position, Length: body.Length, Version: 1})
}

// TestBatches: the batches of mixed and merged segments come out as they went in, with their
// offsets, however small the gets are.
func TestBatches(t *testing.T) {
	for _, r := range []Reader{{}, {GetBytes: 1, Ahead: 1}, {GetBytes: 64 << 10, Ahead: 256 << 10}} {
		b := &bucket{Store: memory.New()}
		for range 20 {
			if rand.IntN(2) == 0 {
				b.mixed(t, 1+rand.IntN(20), 200<<rand.IntN(10))
			} else {
				b.merged(t, 1+rand.IntN(200), 200<<rand.IntN(4))
			}
		}
		r.Store = b
		var got [][]byte
		for one, err := range r.Batches(t.Context(), b.spans) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, bytes.Clone(one))
		}
		if len(got) != len(b.want) {
			t.Fatalf("%d batches, wrote %d", len(got), len(b.want))
		}
		for i := range got {
			if !bytes.Equal(got[i], b.want[i]) {
				t.Fatalf("batch %d at offset %d differs", i, binary.BigEndian.Uint64(b.want[i]))
			}
		}
	}
}

// TestGets: small merged segments take one get each, and pieces that follow each other are read
// together.
func TestGets(t *testing.T) {
	b := &bucket{Store: memory.New()}
	for range 5 {
		b.merged(t, 50, 5000)
	}
	r := Reader{Store: b}
	for _, err := range r.Batches(t.Context(), b.spans) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := b.gets.Load(); n != 5 {
		t.Errorf("%d gets for 5 small segments", n)
	}
	b.gets.Store(0)
	r.GetBytes = b.spans[0].Length - 1
	for _, err := range r.Batches(t.Context(), b.spans[:1]) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := b.gets.Load(); n != 3 { // footer, and two halves
		t.Errorf("%d gets for one large segment", n)
	}
}

// TestStop: who stops in the middle leaves nothing under way, and whose context ends hears of it.
func TestStop(t *testing.T) {
	b := &bucket{Store: memory.New()}
	for range 10 {
		b.mixed(t, 5, 1000)
	}
	r := Reader{Store: b, Ahead: 1}
	for _, err := range r.Batches(t.Context(), b.spans) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if n := b.gets.Load(); n > 2 {
		t.Errorf("%d gets for one batch, with room for one", n)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended, n := errors.New("ended"), 0
	var last error
	for _, err := range r.Batches(ctx, b.spans) {
		n, last = n+1, err
		cancel(ended)
	}
	if !errors.Is(last, ended) || n > 20 {
		t.Errorf("after %d batches: %v", n, last)
	}
}

// TestFaults: whatever is wrong in the bucket ends the stream with one error that says where, after
// all that comes before it.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(object []byte, position int64) []byte // nil: it is gone
		want   error
	}{
		"gone":             {nil, segments.ErrNotFound},
		"torn":             {func(o []byte, at int64) []byte { return o[:at+10] }, ErrCorrupt},
		"a flipped bit":    {func(o []byte, at int64) []byte { o[at+70] ^= 1; return o }, ErrCorrupt},
		"a batch's offset": {func(o []byte, at int64) []byte { o[at+7] ^= 1; return o }, ErrCorrupt},
	} {
		for _, kind := range []string{"mixed", "merged"} {
			if kind == "mixed" && name == "a batch's offset" {
				continue // is not kept in mixed segments
			}
			b := &bucket{Store: memory.New()}
			b.merged(t, 3, 500)
			good := len(b.want)
			if kind == "mixed" {
				b.mixed(t, 3, 500)
			} else {
				b.merged(t, 3, 500)
			}
			b.merged(t, 3, 500)
			key := b.spans[1].Segment.Key()
			object, err := b.Store.Get(t.Context(), key, 0, -1)
			if err == nil {
				err = b.Delete(t.Context(), key)
			}
			if err == nil && c.change != nil {
				err = b.Put(t.Context(), key, c.change(object, b.spans[1].Position))
			}
			if err != nil {
				t.Fatal(err)
			}
			r := Reader{Store: b}
			n, errs := 0, 0
			for _, err := range r.Batches(t.Context(), b.spans) {
				if err == nil {
					n++
					continue
				}
				errs++
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), b.spans[1].Segment.String()) {
					t.Errorf("%s, %s: %v", kind, name, err)
				}
			}
			if n != good || errs != 1 {
				t.Errorf("%s, %s: %d batches and %d errors, %d batches are before it", kind, name, n, errs, good)
			}
		}
	}
}
