package replay_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator/spans"
	"firn.dev/replay"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// TestRun: everything comes as it was written, in order, through the sinks and the iterators, and
// the plan is what is sent.
func TestRun(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, store, 7)
			w.fill(60, 0)
			w.close()
			r := w.open(replay.Options{})
			out := newKept()
			if err := r.Run(t.Context(), out); err != nil {
				t.Fatal(err)
			}
			same(t, out.records, w.model(), r.Ranges())

			before := r.Gets()
			iterated := map[int32][]batch.Record{}
			for one, err := range r.Records(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				iterated[one.Partition] = append(iterated[one.Partition], one.Record)
			}
			same(t, iterated, w.model(), r.Ranges())

			sent := r.Gets() - before
			cost, err := r.Cost(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if cost.Gets != sent {
				t.Errorf("plan: %+v; %d gets were sent", cost, sent)
			}
		})
	}
}

// TestRanges: offsets and times, from inclusive and to exclusive, and partitions.
func TestRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 3)
		defer w.close()
		w.fill(40, time.Second)
		middle := time.Now()
		w.fill(40, time.Second)
		model := w.model()
		if cost, err := w.open(replay.Options{}).Cost(t.Context()); err != nil || cost.Objects < 20 ||
			cost.Gets > cost.Objects+2 {
			t.Errorf("segments are not read once for all partitions: %+v, %v", cost, err)
		}
		cases := []struct {
			name     string
			options  replay.Options
			selected func(batch.Record) bool
		}{
			{"offsets", replay.Options{From: replay.Offset(7), To: replay.Offset(31)}, func(r batch.Record) bool {
				return r.Offset >= 7 && r.Offset < 31
			}},
			{"time on", replay.Options{From: replay.At(middle)}, func(r batch.Record) bool {
				return r.Timestamp >= middle.UnixMilli()
			}},
			{"up to a time", replay.Options{To: replay.At(middle)}, func(r batch.Record) bool {
				return r.Timestamp < middle.UnixMilli()
			}},
			{"one partition", replay.Options{Partitions: []int32{1}, From: replay.Offset(1)}, func(r batch.Record) bool {
				return r.Offset >= 1
			}},
			{"nothing", replay.Options{From: replay.Offset(9), To: replay.Offset(3)}, func(batch.Record) bool { return false }},
			{"latest", replay.Options{From: replay.Latest}, func(batch.Record) bool { return false }},
			{"future", replay.Options{From: replay.At(time.Now().Add(time.Hour))}, func(batch.Record) bool { return false }},
		}
		for _, c := range cases {
			r := w.open(c.options)
			out := newKept()
			if err := r.Run(t.Context(), out); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			for _, g := range r.Ranges() {
				var want []batch.Record
				for _, one := range model[g.Partition] {
					if c.selected(one) {
						want = append(want, one)
					}
				}
				got := out.records[g.Partition]
				if len(got) != len(want) ||
					len(got) > 0 && (!equal(got[0], want[0]) || !equal(got[len(got)-1], want[len(want)-1])) {
					t.Errorf("%s: partition %d: %d records, want %d", c.name, g.Partition, len(got), len(want))
				}
			}
			if len(c.options.Partitions) == 1 && len(out.records) != 1 {
				t.Errorf("%s: %d partitions", c.name, len(out.records))
			}
		}
	})
}

// TestMergedMeanwhile: segments are merged away and removed between the look at the state and the
// reading; records come once each all the same.
func TestMergedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 3)
		defer w.close()
		stop := w.clean()
		defer func() { stop() }()
		w.fill(150, time.Second)
		r := w.open(replay.Options{Parallel: 1})
		model := w.model()
		out := newKept()
		var began atomic.Bool
		out.note = func() {
			if !began.Swap(true) {
				w.fill(5, 10*time.Minute) // everything is merged and collected while the first batch is written
			}
		}
		if err := r.Run(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		bounded := make([][]batch.Record, len(model))
		for _, g := range r.Ranges() {
			bounded[g.Partition] = model[g.Partition][:g.To]
		}
		same(t, out.records, bounded, r.Ranges())
		again := newKept() // and of the merged segments, from the middle on
		r = w.open(replay.Options{From: replay.Offset(33)})
		if err := r.Run(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		same(t, again.records, w.model(), r.Ranges())
	})
}

// TestFollow: what is written while a replay follows comes soon after, once each, whatever is
// merged meanwhile.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 3)
		defer w.close()
		stop := w.clean()
		defer func() { stop() }()
		w.fill(20, time.Second)
		r := w.open(replay.Options{Follow: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := newKept()
		var running sync.WaitGroup
		running.Go(func() {
			if err := r.Run(ctx, out); !errors.Is(err, context.Canceled) {
				t.Errorf("ended: %v", err)
			}
		})
		w.fill(300, 2*time.Second)
		time.Sleep(2 * time.Second)
		out.mu.Lock()
		same(t, out.records, w.model(), r.Ranges())
		out.mu.Unlock()
		cancel()
		running.Wait()
	})
}

// TestDeleted: records that go while they are to be replayed are an error, unless what is there is
// wanted.
func TestDeleted(t *testing.T) {
	for _, from := range []replay.Place{replay.Earliest, replay.Offset(0)} {
		w := newWorld(t, memory.New(), 1)
		w.fill(20, 0)
		notes := 0
		r := w.open(replay.Options{From: from, Note: func(string, ...any) { notes++ }})
		left := r.Ranges()
		left[0].From = 2
		w.raise(5)
		err := r.Reload(t.Context(), left)
		if from == replay.Earliest && (err != nil || notes != 1 || left[0].From != 5) ||
			from != replay.Earliest && !errors.Is(err, replay.ErrDeleted) {
			t.Errorf("from %s: %v, %d notes, on at %d", from, err, notes, left[0].From)
		}
		w.close()
	}
}

// damaging is a store that damages what it reads of segments.
type damaging struct {
	segments.Store
	mu     sync.Mutex
	damage func([]byte) []byte
}

func (d *damaging) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	b, err := d.Store.Get(ctx, key, offset, length)
	if err == nil && strings.HasPrefix(key, segments.Prefix) {
		d.mu.Lock()
		defer d.mu.Unlock()
		b = d.damage(b)
	}
	return b, err
}

// TestDamaged: what is damaged is an error that names the object and says what to do, and never a
// panic.
func TestDamaged(t *testing.T) {
	w := newWorld(t, memory.New(), 2)
	w.fill(20, 0)
	w.close()
	random := rand.New(rand.NewPCG(3, 4))
	for name, damage := range map[string]func([]byte) []byte{
		"bit":   func(b []byte) []byte { b[random.IntN(len(b))] ^= 1 << random.IntN(8); return b },
		"short": func(b []byte) []byte { return b[:random.IntN(len(b))] },
		"zeros": func(b []byte) []byte { clear(b); return b },
		"noise": func(b []byte) []byte {
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			return b
		},
	} {
		for range 50 {
			r := w.open(replay.Options{Store: &damaging{Store: w.store, damage: damage}})
			err := r.Run(t.Context(), newKept())
			if err == nil {
				continue // a bit that nobody looks at: of a base offset, say, which is written over
			}
			if !strings.Contains(err.Error(), segments.Prefix) ||
				errors.Is(err, spans.ErrCorrupt) && !strings.Contains(err.Error(), "restore the object") {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}
