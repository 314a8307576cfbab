package cleanup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// The map knows what a Go map knows, up to its last key.
func TestOffsetMap(t *testing.T) {
	m := newOffsetMap(100 * slotBytes)
	random := rand.New(rand.NewPCG(3, 4))
	want := map[string]int64{}
	for offset := range int64(10_000) {
		key := fmt.Sprint("key ", random.IntN(90))
		_, known := want[key]
		if room := m.put(hashOf([]byte(key)), offset); room != (known || len(want) < 80) {
			t.Fatalf("offset %d: room %v with %d keys", offset, room, len(want))
		} else if room {
			want[key] = offset
		}
		probe := fmt.Sprint("key ", random.IntN(100))
		last, known := want[probe]
		if !known {
			last = -1
		}
		if got := m.last(hashOf([]byte(probe))); got != last {
			t.Fatalf("%q: %d, not %d", probe, got, last)
		}
	}
	if m.used != 80 {
		t.Errorf("%d keys", m.used)
	}
	m.put(hashOf([]byte("key 1")), 3)
	if got := m.last(hashOf([]byte("key 1"))); got != want["key 1"] {
		t.Errorf("an earlier offset took the place of a later one: %d, not %d", got, want["key 1"])
	}
	m.clear()
	if got := m.last(hashOf([]byte("key 1"))); got != -1 || m.used != 0 {
		t.Error("something is left:", got, m.used)
	}
}

// A map that is made for some keys holds them.
func TestMapSizes(t *testing.T) {
	for keys := int64(0); keys < 5000; keys++ {
		if m := newOffsetMap(bytesFor(keys)); int64(m.most) < keys || m.most == len(m.slots) {
			t.Fatalf("for %d keys: %d, in %d slots", keys, m.most, len(m.slots))
		}
	}
}

// The halves of a share have its keys between them, each one of them.
func TestShares(t *testing.T) {
	shares := []share{{}}
	for range 4 {
		var smaller []share
		for _, s := range shares {
			a, b := s.halves()
			smaller = append(smaller, a, b)
		}
		shares = smaller
	}
	counts := make([]int, len(shares))
	for i := range 16_000 {
		h, n := hashOf(fmt.Append(nil, i)), 0
		for j, s := range shares {
			if s.has(h) {
				n++
				counts[j]++
			}
		}
		if n != 1 {
			t.Fatalf("key %d is in %d shares", i, n)
		}
	}
	for i, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("share %d has %d of 16000 keys", i, n)
		}
	}
}

// Who wants a map waits until there is room for it, or until it gives up.
func TestMapRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMapMemory(100 * slotBytes)
		m, release, err := r.take(t.Context(), 1<<40)
		if err != nil || len(m.slots) != 100 {
			t.Fatal(len(m.slots), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := r.take(ctx, 1); err == nil {
			t.Error("more than there is room for")
		}
		got := make(chan int, 2)
		for range 2 {
			go func() {
				m, release, err := r.take(t.Context(), 30)
				if err == nil {
					got <- len(m.slots)
					release()
				}
			}()
		}
		synctest.Wait()
		if len(got) > 0 {
			t.Error("more than there is room for")
		}
		release()
		for range 2 {
			if n := <-got; n < 30 || n > 50 {
				t.Errorf("%d slots for 30 keys", n)
			}
		}
	})
}

func BenchmarkOffsetMap(b *testing.B) {
	m := newOffsetMap(8 << 20)
	keys := make([][]byte, m.most)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "user-%d", i)
	}
	i := int64(0)
	for b.Loop() {
		m.put(hashOf(keys[i%int64(len(keys))]), i)
		i++
	}
	b.ReportMetric(float64(m.used)/float64(len(m.slots)), "load")
}
