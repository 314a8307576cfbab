package index

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"firn/coordinator"
	"firn/segments"
	"firn/segments/batch"
)

// stored is one batch as the model knows it.
type stored struct {
	base, last int64
	bytes      []byte // as the bucket has them, with no offset
	timestamps []int64
}

// machine does the same to a world with an index over it and to a list of batches for each partition, and compares.
type machine struct {
	w     *world
	x     *Index
	parts []segments.Partition
	model map[segments.Partition][]stored
}

// TestModel: whatever was written, kept, merged, trimmed or evicted, reads and searches give what walking a list of all batches gives.
func TestModel(t *testing.T) {
	// The batches are drawn from a pool: building them is most of the work.
	type made struct {
		bytes      []byte
		timestamps []int64
	}
	var pool []made
	for i := range 60 {
		ts := make([]int64, 1+i%4)
		for j := range ts {
			ts[j] = int64((i*7+j*13)%50 + i/6)
		}
		b := records(t, batch.Codec(i%5), 10+i*i%300, ts...)
		if i%9 == 0 {
			batch.SetLogAppendTime(b, int64(i))
			for j := range ts {
				ts[j] = int64(i)
			}
		}
		pool = append(pool, made{b, ts})
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{w: newWorld(t), model: map[segments.Partition][]stored{}}
		limit := func(name string) int64 { return rapid.SampledFrom([]int64{-1, 3000, 20000, 1 << 20}).Draw(rt, name) }
		m.x = m.w.open(func(o *Options) {
			o.TailBytes, o.CacheBytes, o.ReadAheadBytes = limit("tail"), limit("cache"), limit("ahead")
		})
		defer m.x.Close()
		for i := range 3 {
			m.parts = append(m.parts, segments.Partition{Topic: segments.TopicID{9}, Index: int32(i)})
			m.w.partition(m.parts[i])
		}
		write := func(rt *rapid.T) {
			var runs []run
			for _, p := range rapid.SliceOfN(rapid.SampledFrom(m.parts), 1, 6).Draw(rt, "runs") {
				r := run{p: p}
				for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(pool)-1), 1, 8).Draw(rt, "batches") {
					b := pool[i]
					r.batches = append(r.batches, b.bytes)
					base := m.end(p)
					m.model[p] = append(m.model[p], stored{base, base + int64(len(b.timestamps)) - 1, b.bytes, b.timestamps})
				}
				runs = append(runs, r)
			}
			spans, object := m.w.segment(runs...)
			if rapid.Bool().Draw(rt, "keep") {
				m.x.Keep(spans, object)
			}
		}
		for range 8 {
			write(rt)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write": write,
			"trim": func(rt *rapid.T) {
				f := m.w.partition(rapid.SampledFrom(m.parts).Draw(rt, "p"))
				f.logStart = rapid.Int64Range(f.logStart, f.end).Draw(rt, "log start")
			},
			"merge":  m.merge,
			"read":   m.read,
			"search": m.search,
			"":       m.check,
		})
	})
}

func (m *machine) end(p segments.Partition) int64 {
	if s := m.model[p]; len(s) > 0 {
		return s[len(s)-1].last + 1
	}
	return 0
}

// merge writes all of one partition into a new segment, as a few adjacent spans, and shows those in place of the old ones.
func (m *machine) merge(rt *rapid.T) {
	p := rapid.SampledFrom(m.parts).Draw(rt, "p")
	f := m.w.partition(p)
	if len(f.spans) == 0 {
		return
	}
	old := f.spans
	f.spans, f.end = nil, 0
	all := m.model[p]
	var runs []run
	for len(all) > 0 {
		n := rapid.IntRange(1, min(20, len(all))).Draw(rt, "batches")
		r := run{p: p}
		for _, s := range all[:n] {
			r.batches = append(r.batches, s.bytes)
		}
		runs, all = append(runs, r), all[n:]
	}
	m.w.segment(runs...)
	// Only this partition's readers may notice that the segment is gone.
	for _, span := range old {
		if !slices.ContainsFunc(m.parts, func(q segments.Partition) bool {
			return slices.ContainsFunc(m.w.partition(q).spans, func(s coordinator.Span) bool { return s.Segment == span.Segment })
		}) {
			if err := m.w.store.Delete(m.w.t.Context(), span.Segment.Key()); err != nil {
				rt.Fatal(err)
			}
		}
	}
}

// want is what a Read must give: the batches, with their offsets.
func (m *machine) want(p segments.Partition, offset int64, maxBytes int, atLeastOne bool) (want []byte) {
	for _, s := range m.model[p] {
		if s.last < offset {
			continue
		}
		if len(want)+len(s.bytes) > maxBytes && (len(want) > 0 || !atLeastOne) {
			break
		}
		b := slices.Clone(s.bytes)
		batch.SetBaseOffset(b, s.base)
		want = append(want, b...)
	}
	return want
}

func (m *machine) read(rt *rapid.T) {
	for range 5 {
		m.readOn(rt)
	}
}

// readOn reads from somewhere, and a few times from where that ends.
func (m *machine) readOn(rt *rapid.T) {
	p := rapid.SampledFrom(m.parts).Draw(rt, "p")
	f := m.w.partition(p)
	offset := rapid.Int64Range(f.logStart, f.end).Draw(rt, "offset")
	maxBytes := rapid.OneOf(rapid.IntRange(0, 1000), rapid.IntRange(0, 100000)).Draw(rt, "max bytes")
	atLeastOne := rapid.Bool().Draw(rt, "at least one")
	for range rapid.IntRange(1, 4).Draw(rt, "reads on") {
		chunk, err := m.x.Read(m.w.t.Context(), p, offset, maxBytes, atLeastOne)
		if err != nil {
			rt.Fatal(err)
		}
		if got := bytes.Join(chunk.Batches, nil); !bytes.Equal(got, m.want(p, offset, maxBytes, atLeastOne)) {
			rt.Fatalf("offset %d, %d bytes: other bytes than the model's: %d", offset, maxBytes, len(got))
		}
		if _, last := offsets(m.w.t, chunk); last >= 0 {
			offset = last + 1
		}
	}
}

func (m *machine) search(rt *rapid.T) {
	p := rapid.SampledFrom(m.parts).Draw(rt, "p")
	timestamp := rapid.Int64Range(-1, 65).Draw(rt, "timestamp")
	var first, latest Position
	var some, any bool
	for _, s := range m.model[p] {
		for i, ts := range s.timestamps {
			offset := s.base + int64(i)
			if offset < m.w.partition(p).logStart {
				continue
			}
			if ts >= timestamp && !some {
				first, some = Position{offset, ts}, true
			}
			if !any || ts > latest.Timestamp {
				latest, any = Position{offset, ts}, true
			}
		}
	}
	if got, ok, err := m.x.ByTime(m.w.t.Context(), p, timestamp); err != nil || ok != some || got != first {
		rt.Fatalf("by time %d: %v %v %v, the model has %v %v", timestamp, got, ok, err, first, some)
	}
	if got, ok, err := m.x.MaxTimestamp(m.w.t.Context(), p); err != nil || ok != any || got != latest {
		rt.Fatalf("max timestamp: %v %v %v, the model has %v %v", got, ok, err, latest, any)
	}
}

// check looks at the bounds.
func (m *machine) check(rt *rapid.T) {
	x := m.x
	if held := x.tail.held(); held > x.tail.limit || held < 0 {
		rt.Fatalf("the tail holds %d bytes, its bound is %d", held, x.tail.limit)
	}
	if held := x.fetcher.cache.held(); held > x.fetcher.cache.limit || held < 0 {
		rt.Fatalf("the cache holds %d bytes, its bound is %d", held, x.fetcher.cache.limit)
	}
}
