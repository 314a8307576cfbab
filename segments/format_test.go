package segments_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

var (
	testID = segments.ID([]byte("0123456789abcdef"))
	topicA = segments.TopicID([]byte("topic A 01234567"))
	topicB = segments.TopicID([]byte("topic B 01234567"))
)

// newBatch returns a batch of n records, whose single value is so long that the batch is size bytes
// long if it can be.
func newBatch(t testing.TB, baseOffset int64, n, size int) []byte {
	t.Helper()
	records := make([]batch.Record, n)
	for i := range records {
		records[i] = batch.Record{Offset: baseOffset + int64(i), Timestamp: 1_700_000_000_000 + baseOffset*10 + int64(i)}
	}
	b := mustBatch(t, records)
	if size > len(b) {
		records[0].Value = bytes.Repeat([]byte{byte(size)}, size-len(b))
		b = mustBatch(t, records)
	}
	return b
}

func mustBatch(t testing.TB, records []batch.Record) []byte {
	t.Helper()
	b, err := batch.Build(records, batch.NoProducer(batch.None))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// someData is three partitions of two topics, one of which needs three runs.
func someData(t testing.TB) []segments.RunData {
	big := newBatch(t, 7, 3, 500_000)
	return []segments.RunData{
		{Partition: segments.Partition{Topic: topicA, Index: 0},
			Batches: [][]byte{newBatch(t, 0, 1, 100), newBatch(t, 5, 2, 200)}},
		{Partition: segments.Partition{Topic: topicA, Index: 3},
			Batches: [][]byte{big, big, big, newBatch(t, 0, 1, 2_000_000), newBatch(t, 0, 1, 100)}},
		{Partition: segments.Partition{Topic: topicB, Index: 1}, Batches: [][]byte{newBatch(t, 0, 9, 300)}},
	}
}

func mustEncode(t testing.TB, id segments.ID, data []segments.RunData) ([]byte, []segments.Run) {
	t.Helper()
	object, index, err := segments.EncodeMixed(id, data)
	if err != nil {
		t.Fatal(err)
	}
	return object, index
}

func mustMerge(t testing.TB, id segments.ID, batches ...[]byte) ([]byte, []segments.Run) {
	t.Helper()
	var object bytes.Buffer
	m := segments.NewMerged(&object, id, segments.Partition{Topic: topicA, Index: 2})
	for _, b := range batches {
		if err := m.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	size := m.Size()
	body, err := m.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if size != int64(object.Len()) {
		t.Errorf("a segment of %d bytes was to have %d", object.Len(), size)
	}
	index, err := segments.Decode(object.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wholeBody(index.Runs), body); diff != "" {
		t.Error(diff)
	}
	return object.Bytes(), index.Runs
}

// wholeBody adds up runs to what Finish says of them.
func wholeBody(runs []segments.Run) segments.Run {
	body := runs[0]
	body.CRC, body.Batches = 0, nil
	for _, r := range runs[1:] {
		body.LastOffset, body.Length, body.Records = r.LastOffset, body.Length+r.Length, body.Records+r.Records
		body.MinTimestamp, body.MaxTimestamp = min(body.MinTimestamp, r.MinTimestamp), max(body.MaxTimestamp, r.MaxTimestamp)
	}
	return body
}

func TestEncodeMixed(t *testing.T) {
	data := someData(t)
	object, index := mustEncode(t, testID, data)
	if err := segments.Validate(object); err != nil {
		t.Fatal(err)
	}
	if cap(object) != len(object) {
		t.Errorf("the buffer of %d bytes has room for %d", len(object), cap(object))
	}
	decoded, err := segments.Decode(object)
	if diff := cmp.Diff(segments.Index{Kind: segments.Mixed, ID: testID, Runs: index}, decoded); diff != "" || err != nil {
		t.Error(err, diff)
	}
	// The batches of the index, one after the other, are those of the data, with base offset 0.
	var want [][]byte
	for _, d := range data {
		for _, b := range d.Batches {
			b = bytes.Clone(b)
			batch.SetBaseOffset(b, 0)
			want = append(want, b)
		}
	}
	var partitions []int32
	for _, r := range index {
		run := object[r.Position : r.Position+r.Length]
		partitions = append(partitions, r.Partition.Index)
		if len(r.Batches) > 1 && r.Length > segments.MaxRunBytes {
			t.Errorf("a run of %d bytes was not cut", r.Length)
		}
		for i := range r.Batches {
			end := r.Length
			if i+1 < len(r.Batches) {
				end = int64(r.Batches[i+1])
			}
			if !bytes.Equal(run[r.Batches[i]:end], want[0]) {
				t.Error("another batch than expected")
			}
			want = want[1:]
		}
	}
	if len(want) > 0 {
		t.Errorf("%d batches are missing", len(want))
	}
	if !slices.Equal(partitions, []int32{0, 3, 3, 3, 3, 1}) {
		t.Errorf("runs of partitions %v", partitions)
	}
	if h, _ := batch.ReadHeader(data[1].Batches[0]); h.BaseOffset != 7 {
		t.Error("EncodeMixed changed its input")
	}
}

func TestEncodeMixedRefuses(t *testing.T) {
	one := newBatch(t, 0, 1, 0)
	p := segments.Partition{Topic: topicB, Index: 4}
	for _, test := range []struct {
		name string
		data []segments.RunData
	}{
		{"nothing", nil},
		{"no batches", []segments.RunData{{Partition: p}}},
		{"a partition twice", []segments.RunData{{p, [][]byte{one}}, {p, [][]byte{one}}}},
		{"topics out of order", []segments.RunData{{p, [][]byte{one}},
			{segments.Partition{Topic: topicA, Index: 9}, [][]byte{one}}}},
		{"no batch", []segments.RunData{{p, [][]byte{one, nil}}}},
		{"half a batch", []segments.RunData{{p, [][]byte{one[:len(one)-1]}}}},
		{"two batches in one", []segments.RunData{{p, [][]byte{slices.Concat(one, one)}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := segments.EncodeMixed(testID, test.data); !errors.Is(err, segments.ErrInput) {
				t.Error("got", err)
			}
		})
	}
}

func TestMerged(t *testing.T) {
	var batches [][]byte
	for i := range 40 {
		batches = append(batches, newBatch(t, int64(i)*100, 1+i, 10_000)) // with holes
	}
	batches = append(batches, newBatch(t, 5000, 1, 100_000), newBatch(t, 5001, 1, 0))
	object, index := mustMerge(t, testID, batches...)
	if err := segments.Validate(object); err != nil {
		t.Fatal(err)
	}
	decoded, err := segments.Decode(object)
	if diff := cmp.Diff(segments.Index{Kind: segments.Merged, ID: testID, Runs: index}, decoded); diff != "" ||
		err != nil {
		t.Error(err, diff)
	}
	if n := len(index); n != 9 {
		t.Errorf("%d blocks", n)
	}
	body := object[index[0].Position:][:len(slices.Concat(batches...))]
	if !bytes.Equal(body, slices.Concat(batches...)) {
		t.Error("the batches are not what was added")
	}
	if first, last := index[0], index[len(index)-1]; first.BaseOffset != 0 || first.LastOffset != 505 ||
		last.LastOffset != 5001 {
		t.Errorf("blocks %+v to %+v", first, last)
	}
}

func TestMergedRefuses(t *testing.T) {
	m := segments.NewMerged(new(bytes.Buffer), testID, segments.Partition{})
	if _, err := m.Finish(); !errors.Is(err, segments.ErrInput) {
		t.Error("empty:", err)
	}
	if err := m.Add(newBatch(t, 10, 5, 0)); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, newBatch(t, 14, 1, 0), newBatch(t, 0, 1, 0), newBatch(t, -5, 50, 0),
		newBatch(t, 1<<63-2, 2, 0)} {
		if err := m.Add(b); !errors.Is(err, segments.ErrInput) {
			t.Error("got", err)
		}
	}
	if err := m.Add(newBatch(t, 15, 1, 0)); err != nil {
		t.Error(err)
	}
}

// TestCompactedBatch is a merged segment in which a batch lost records, but not its offsets.
func TestCompactedBatch(t *testing.T) {
	b := newBatch(t, 100, 3, 0)
	binary.BigEndian.PutUint32(b[23:], 9)
	reseal(b, 21, len(b), 17)
	object, index := mustMerge(t, testID, b)
	if err := segments.Validate(object); err != nil {
		t.Error(err)
	}
	if index[0].LastOffset != 109 || index[0].Records != 3 {
		t.Errorf("%+v", index[0])
	}
}

// reseal writes the CRC of b[from:to] at position at.
func reseal(b []byte, from, to, at int) {
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b[from:to], crc32.MakeTable(crc32.Castagnoli)))
}

// TestCorrupt damages segments in every part, with and without making the CRCs fit.
func TestCorrupt(t *testing.T) {
	one, two := newBatch(t, 0, 2, 200), newBatch(t, 0, 3, 300)
	mixed, _ := mustEncode(t, testID, []segments.RunData{
		{segments.Partition{Topic: topicA, Index: 0}, [][]byte{one, two}},
		{segments.Partition{Topic: topicA, Index: 1}, [][]byte{one}}})
	merged, _ := mustMerge(t, testID, newBatch(t, 0, 2, 200), newBatch(t, 2, 1, 70_000))
	const entry = 20
	// footer changes the footer and makes its CRC fit.
	footer := func(change func(footer []byte)) func([]byte) []byte {
		return func(b []byte) []byte {
			trailer := b[len(b)-32:]
			start := int(binary.BigEndian.Uint64(trailer))
			change(b[start : len(b)-32])
			reseal(b, start, len(b)-32, len(b)-32+12)
			reseal(b, len(b)-32, len(b)-12, len(b)-12)
			return b
		}
	}
	field := func(at int, value uint64) func([]byte) []byte {
		return footer(func(f []byte) { binary.BigEndian.PutUint64(f[entry+at:], value) })
	}
	for _, test := range []struct {
		name    string
		object  []byte
		corrupt func(b []byte) []byte
		want    error
	}{
		{"nothing, mixed", mixed, func(b []byte) []byte { return b }, nil},
		{"nothing, merged", merged, func(b []byte) []byte { return b }, nil},
		{"empty", mixed, func(b []byte) []byte { return nil }, segments.ErrMagic},
		{"header's magic", mixed, func(b []byte) []byte { b[7] = 'x'; return b }, segments.ErrMagic},
		{"header's version", mixed, func(b []byte) []byte { b[8] = 2; return b }, segments.ErrVersion},
		{"header's kind", mixed, func(b []byte) []byte { b[9] = 2; return b }, segments.ErrCRC},
		{"unknown kind", mixed, func(b []byte) []byte { b[9] = 3; reseal(b, 0, 28, 28); return b }, segments.ErrCorrupt},
		{"kinds differ", mixed, func(b []byte) []byte { b[9] = 2; reseal(b, 0, 28, 28); return b }, segments.ErrCorrupt},
		{"zeros in the header", mixed, func(b []byte) []byte {
			b[10] = 1
			reseal(b, 0, 28, 28)
			return b
		}, segments.ErrCorrupt},
		{"ids differ", mixed, func(b []byte) []byte { b[12] ^= 1; reseal(b, 0, 28, 28); return b }, segments.ErrCorrupt},
		{"only a header", mixed, func(b []byte) []byte { return b[:32] }, segments.ErrMagic},
		{"cut by a byte", mixed, func(b []byte) []byte { return b[:len(b)-1] }, segments.ErrMagic},
		{"longer by a byte", mixed, func(b []byte) []byte { return append(b, 0) }, segments.ErrMagic},
		{"a byte in the middle missing", mixed, func(b []byte) []byte {
			return slices.Delete(b, 100, 101)
		}, segments.ErrCorrupt},
		{"trailer's version", mixed, func(b []byte) []byte { b[len(b)-16] = 9; return b }, segments.ErrVersion},
		{"trailer's position", mixed, func(b []byte) []byte { b[len(b)-25] ^= 1; return b }, segments.ErrCRC},
		{"trailer's huge footer", mixed, func(b []byte) []byte {
			b[len(b)-24] = 0xff
			reseal(b, len(b)-32, len(b)-12, len(b)-12)
			return b
		}, segments.ErrCorrupt},
		{"a bit of the footer", mixed, func(b []byte) []byte { b[len(b)-40] ^= 1; return b }, segments.ErrCRC},
		{"a bit of a batch", mixed, func(b []byte) []byte { b[150] ^= 1; return b }, segments.ErrCRC},
		{"footer's id", mixed, footer(func(f []byte) { f[0] ^= 1 }), segments.ErrCorrupt},
		{"no runs", mixed, footer(func(f []byte) { f[19] = 0 }), segments.ErrCorrupt},
		{"fewer runs", mixed, footer(func(f []byte) { f[19] = 1 }), segments.ErrCorrupt},
		{"more runs", mixed, footer(func(f []byte) { f[19] = 3 }), segments.ErrCorrupt},
		{"very many runs", mixed, footer(func(f []byte) { f[16] = 0xff }), segments.ErrCorrupt},
		{"partitions out of order", mixed, footer(func(f []byte) { f[entry] = 0xff }), segments.ErrCorrupt},
		{"negative partition", mixed, footer(func(f []byte) { f[entry+16] = 0xff }), segments.ErrCorrupt},
		{"position", mixed, field(20, 33), segments.ErrCorrupt},
		{"length", mixed, field(28, 501), segments.ErrCorrupt},
		{"length 0", mixed, field(28, 0), segments.ErrCorrupt},
		{"length beyond the body", mixed, field(28, 1<<30), segments.ErrCorrupt},
		{"run's CRC", mixed, footer(func(f []byte) { f[entry+36] ^= 1 }), segments.ErrCRC},
		{"base offset in a mixed segment", mixed, field(40, 0), segments.ErrCorrupt},
		{"last offset in a mixed segment", mixed, field(48, 5), segments.ErrCorrupt},
		{"records", mixed, field(56, 6), segments.ErrCorrupt},
		{"negative records", mixed, field(56, 1<<63), segments.ErrCorrupt},
		{"min timestamp", mixed, field(64, 1), segments.ErrCorrupt},
		{"max timestamp", mixed, field(72, 1), segments.ErrCorrupt},
		{"no batches", mixed, footer(func(f []byte) { f[entry+83] = 0 }), segments.ErrCorrupt},
		{"fewer batches", mixed, footer(func(f []byte) { f[entry+83] = 1 }), segments.ErrCorrupt},
		{"very many batches", mixed, footer(func(f []byte) { f[entry+80] = 0x7f }), segments.ErrCorrupt},
		{"zeros in the footer", mixed, footer(func(f []byte) { f[entry+87] = 1 }), segments.ErrCorrupt},
		{"first batch position", mixed, footer(func(f []byte) { f[entry+91] = 1 }), segments.ErrCorrupt},
		{"batch position", mixed, footer(func(f []byte) { f[entry+95]++ }), segments.ErrCorrupt},
		{"batch position negative", mixed, footer(func(f []byte) { f[entry+92] = 0x80 }), segments.ErrCorrupt},
		{"base offset", merged, field(40, 1), segments.ErrCorrupt},
		{"last offset", merged, field(48, 2), segments.ErrCorrupt},
		{"offsets overlap", merged, field(88+4+40, 1), segments.ErrCorrupt},
		{"base offset behind last", merged, field(88+4+40, 1<<40), segments.ErrCorrupt},
		{"another partition in a merged segment", merged, footer(func(f []byte) { f[entry+88+4+19]++ }), segments.ErrCorrupt},
		{"offset in a mixed segment's batch", mixed, func(b []byte) []byte {
			b[32+7] = 1
			reseal(b, 32, 32+500, len(b)-32-(88+4)-(88+8)+36)
			return footer(func([]byte) {})(b)
		}, segments.ErrCorrupt},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := test.corrupt(bytes.Clone(test.object))
			if err := segments.Validate(b); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err := segments.Describe(new(bytes.Buffer), b); !errors.Is(err, test.want) {
				t.Errorf("Describe: got %v, want %v", err, test.want)
			}
		})
	}
}

// TestEveryBit flips each bit of a small segment: Validate finds every one.
func TestEveryBit(t *testing.T) {
	mixed, _ := mustEncode(t, testID, []segments.RunData{{segments.Partition{Topic: topicA},
		[][]byte{newBatch(t, 0, 1, 0)}}})
	merged, _ := mustMerge(t, testID, newBatch(t, 3, 1, 0))
	for _, object := range [][]byte{mixed, merged} {
		for i := range len(object) * 8 {
			object[i/8] ^= 1 << (i % 8)
			if err := segments.Validate(object); err == nil {
				t.Errorf("bit %d of byte %d is not missed", i%8, i/8)
			}
			object[i/8] ^= 1 << (i % 8)
		}
		if err := segments.Validate(object); err != nil {
			t.Error(err)
		}
	}
}

func TestReadIndexAndRun(t *testing.T) {
	small, smallIndex := mustEncode(t, testID, someData(t))
	longID := segments.NewID(time.Now())
	many := make([][]byte, 20_000) // whose positions alone are longer than what is fetched at first
	for i := range many {
		many[i] = newBatch(t, 0, 1, 0)
	}
	long, longIndex := mustEncode(t, longID, []segments.RunData{{segments.Partition{Topic: topicB}, many}})
	store := storetest.NewFaults(memory.New(), nil)
	for id, object := range map[segments.ID][]byte{testID: small, longID: long} {
		if err := store.Put(t.Context(), id.Key(), object); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		id       segments.ID
		object   []byte
		runs     []segments.Run
		requests int
	}{{testID, small, smallIndex, 1}, {longID, long, longIndex, 2}} {
		before := store.Requests()
		index, err := segments.ReadIndex(t.Context(), store, test.id)
		if diff := cmp.Diff(segments.Index{Kind: segments.Mixed, ID: test.id, Runs: test.runs}, index); diff != "" ||
			err != nil {
			t.Fatal(err, diff)
		}
		if n := store.Requests() - before; n != test.requests {
			t.Errorf("%d requests, want %d", n, test.requests)
		}
		for _, r := range index.Runs {
			run := test.object[r.Position : r.Position+r.Length]
			if sum := crc32.Checksum(run, crc32.MakeTable(crc32.Castagnoli)); sum != r.CRC {
				t.Errorf("the run at %d has the CRC %x in the index, should be %x", r.Position, r.CRC, sum)
			}
		}
	}
	other := segments.NewID(time.Now())
	if _, err := segments.ReadIndex(t.Context(), store, other); !errors.Is(err, segments.ErrNotFound) {
		t.Error(err)
	}
	if err := store.Put(t.Context(), other.Key(), small); err != nil {
		t.Fatal(err)
	}
	if _, err := segments.ReadIndex(t.Context(), store, other); !errors.Is(err, segments.ErrCorrupt) {
		t.Error("a segment under another's key:", err)
	}
}

// TestMixedProperties encodes random partitions and batch sizes: the result is valid and decodes to
// the index that the encoder gave.
func TestMixedProperties(t *testing.T) {
	sizes := map[int][]byte{}
	for _, size := range []int{100, 300_000, 400_000, 700_000, 1 << 20, 1<<20 + 1} {
		sizes[size] = newBatch(t, 0, 2, size)
	}
	rapid.Check(t, func(rt *rapid.T) {
		partitions := rapid.SliceOfNDistinct(rapid.Int32Range(0, 50), 1, 3, rapid.ID).Draw(rt, "partitions")
		slices.Sort(partitions)
		var data []segments.RunData
		for _, p := range partitions {
			d := segments.RunData{Partition: segments.Partition{Topic: topicA, Index: p}}
			for _, size := range rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(sizes))), 1, 5).Draw(rt, "sizes") {
				d.Batches = append(d.Batches, sizes[size])
			}
			data = append(data, d)
		}
		object, runs := mustEncode(t, testID, data)
		if err := segments.Validate(object); err != nil {
			rt.Fatal(err)
		}
		index, err := segments.Decode(object)
		if diff := cmp.Diff(runs, index.Runs); diff != "" || err != nil {
			rt.Fatal(err, diff)
		}
	})
}
