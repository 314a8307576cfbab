package index_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"firn.dev/coordinator"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// stored is one batch as the model knows it.
type stored struct {
	base, last int64
	bytes      []byte // with its offset
	timestamps []int64
	compacted  *stored // the same batch without its last records, if it can lose any
}

// comparison does the same to a world with an index over it and to a list of batches for each
// partition, and compares.
type comparison struct {
	w     *world
	x     *index.Index
	parts []segments.Partition
	model map[segments.Partition][]stored
	next  map[segments.Partition]int64 // offset of the next batch

	version uint64 // of the newest merge

	tail, cache int64 // bounds in bytes
}

// TestModel: whatever was written, kept, merged, trimmed or evicted, reads and searches give what
// walking a list of all batches gives.
func TestModel(t *testing.T) {
	// The batches are drawn from a pool: building them is most of the work.
	var pool []stored
	for i := range 60 {
		ts := make([]int64, 1+i%4)
		for j := range ts {
			ts[j] = int64((i*7+j*13)%50 + i/6)
		}
		size := 10 + i*i%300
		if i%10 == 3 {
			size = 30_000 // two or three of them are a block
		}
		b := stored{bytes: records(t, batch.Codec(i%5), size, ts...), timestamps: ts}
		if keep := len(ts) / 2; keep > 0 {
			b.compacted = &stored{bytes: widened(records(t, batch.Codec(i%5), size, ts[:keep]...), int32(len(ts)-keep)),
				timestamps: ts[:keep]}
		}
		if i%9 == 0 {
			b.timestamps = slices.Repeat([]int64{int64(i)}, len(ts))
			b.compacted = nil
			batch.SetLogAppendTime(b.bytes, int64(i))
		}
		pool = append(pool, b)
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := &comparison{w: newWorld(t), model: map[segments.Partition][]stored{}, next: map[segments.Partition]int64{}}
		limit := func(name string) int64 { return rapid.SampledFrom([]int64{-1, 3000, 20000, 1 << 20}).Draw(rt, name) }
		m.tail, m.cache = limit("tail"), limit("cache")
		m.x = m.w.open(func(o *index.Options) {
			o.TailBytes, o.CacheBytes, o.FooterBytes, o.ReadAheadBytes = m.tail, m.cache, limit("footers"), limit("ahead")
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
					r.batches = append(r.batches, pool[i].bytes)
					m.append(p, pool[i])
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
			"merge":  func(rt *rapid.T) { m.merge(rt, m.pick(rt), rapid.Bool().Draw(rt, "compact")) },
			"read":   m.read,
			"race":   m.race,
			"search": m.search,
			"":       m.check,
		})
	})
}

// append gives a batch the next offsets of a partition.
func (m *comparison) append(p segments.Partition, b stored) {
	place := func(b stored) stored {
		b.base, b.last = m.next[p], m.next[p]+int64(binary.BigEndian.Uint32(b.bytes[posLastOffsetDelta:]))
		b.bytes = placed(b.bytes, b.base)
		return b
	}
	b = place(b)
	if b.compacted != nil {
		compacted := place(*b.compacted)
		b.compacted = &compacted
	}
	m.model[p] = append(m.model[p], b)
	m.next[p] = b.last + 1
}

func (m *comparison) pick(rt *rapid.T) segments.Partition {
	return rapid.SampledFrom(m.parts).Draw(rt, "p")
}

// merge writes some spans of a partition that follow each other into a merged segment, maybe
// without some batches and records, and shows that in place of the old ones, whose segments it
// deletes if no others are in them.
func (m *comparison) merge(rt *rapid.T, p segments.Partition, compact bool) {
	f := m.w.partition(p)
	if len(f.spans) == 0 {
		return
	}
	from := rapid.IntRange(0, len(f.spans)-1).Draw(rt, "from")
	to := rapid.IntRange(from+1, len(f.spans)).Draw(rt, "to")
	base, last := f.spans[from].Base, f.spans[to-1].Last
	var batches [][]byte
	var kept []stored
	for _, b := range m.model[p] {
		if inside := b.base >= base && b.last <= last; inside && compact {
			switch fate := rapid.IntRange(0, 3).Draw(rt, "fate"); {
			case fate == 0:
				continue
			case fate == 1 && b.compacted != nil:
				b = *b.compacted
			}
			batches = append(batches, b.bytes)
		} else if inside {
			batches = append(batches, b.bytes)
		}
		kept = append(kept, b)
	}
	m.model[p] = kept
	var spans []coordinator.Span
	if len(batches) > 0 {
		m.version++
		spans = append(spans, m.w.writeMerged(p, m.version, batches...))
	}
	gone := slices.Clone(f.spans[from:to])
	m.w.view.mu.Lock()
	f.spans = slices.Concat(f.spans[:from], spans, f.spans[to:])
	m.w.view.mu.Unlock()
	for _, span := range gone {
		if !slices.ContainsFunc(m.parts, func(q segments.Partition) bool {
			return slices.ContainsFunc(m.w.partition(q).spans, func(s coordinator.Span) bool {
				return s.Segment == span.Segment
			})
		}) {
			if err := m.w.store.Delete(m.w.t.Context(), span.Segment.Key()); err != nil {
				rt.Fatal(err)
			}
		}
	}
}

// race reads while the spans that the reader was given are merged away. What it gets may end early,
// but not be other bytes, nor nothing.
func (m *comparison) race(rt *rapid.T) {
	p := m.pick(rt)
	f := m.w.partition(p)
	offset := rapid.Int64Range(f.logStart, f.end).Draw(rt, "offset")
	maxBytes := rapid.IntRange(0, 200_000).Draw(rt, "max bytes")
	m.w.view.answered = func() {
		m.w.view.answered = nil
		m.merge(rt, p, false)
	}
	chunk, err := m.x.Read(m.w.t.Context(), p, offset, maxBytes, true)
	m.w.view.answered = nil
	if err != nil {
		rt.Fatal(err)
	}
	got, want := bytes.Join(chunk.Batches, nil), m.want(p, offset, maxBytes, true)
	if !bytes.HasPrefix(want, got) || len(got) == 0 && len(want) > 0 {
		rt.Fatalf("offset %d, %d bytes: %d bytes, the model has %d", offset, maxBytes, len(got), len(want))
	}
}

// want is what a Read must give: the batches, with their offsets.
func (m *comparison) want(p segments.Partition, offset int64, maxBytes int, atLeastOne bool) (want []byte) {
	for _, s := range m.model[p] {
		if s.last < offset {
			continue
		}
		if len(want)+len(s.bytes) > maxBytes && (len(want) > 0 || !atLeastOne) {
			break
		}
		want = append(want, s.bytes...)
	}
	return want
}

func (m *comparison) read(rt *rapid.T) {
	for range 5 {
		m.readOn(rt)
	}
}

// readOn reads from somewhere, and a few times from where that ends.
func (m *comparison) readOn(rt *rapid.T) {
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
		for _, run := range chunk.Batches {
			for h, err := range batch.All(run) {
				if err != nil {
					rt.Fatal(err)
				}
				offset = h.BaseOffset + int64(h.LastOffsetDelta) + 1
			}
		}
	}
}

func (m *comparison) search(rt *rapid.T) {
	p := rapid.SampledFrom(m.parts).Draw(rt, "p")
	timestamp := rapid.Int64Range(-1, 65).Draw(rt, "timestamp")
	var first, latest index.Position
	var some, any bool
	for _, s := range m.model[p] {
		for i, ts := range s.timestamps {
			offset := s.base + int64(i)
			if offset < m.w.partition(p).logStart {
				continue
			}
			if ts >= timestamp && !some {
				first, some = index.Position{offset, ts}, true
			}
			if !any || ts > latest.Timestamp {
				latest, any = index.Position{offset, ts}, true
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
func (m *comparison) check(rt *rapid.T) {
	if !m.x.SearchesNothing() {
		rt.Fatal("searches that are over still hold something")
	}
	for name, limit := range map[string]int64{"firn_index_tail_bytes": m.tail, "firn_index_cache_bytes": m.cache} {
		if held := m.w.metric(name); held > float64(max(limit, 0)) || held < 0 {
			rt.Fatalf("%s is %v, its bound is %d", name, held, limit)
		}
	}
}
