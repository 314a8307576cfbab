package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("192.0.2.2")
)

// wantEmpty fails unless everything was given back.
func wantEmpty(t *testing.T, p *Pool) {
	t.Helper()
	if p.used != [2]int64{} || p.own != 0 || len(p.waiting) != 0 {
		t.Errorf("left are %v bytes, %d of clients' own, %d waiters", p.used, p.own, len(p.waiting))
	}
	for at, a := range p.addresses {
		if a.used != [2]int64{} || a.parked != 0 {
			t.Errorf("%v has %+v left", at, a)
		}
	}
}

// A client's own memory is there whatever the others hold, and does not count against the pool.
func TestOwnMemoryWaitsForNobody(t *testing.T) {
	p := New(Options{Limit: "L", Bytes: 1000, Largest: 1000, Own: 100})
	greedy := p.Client(here).Hold()
	if err := greedy.Grow(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	little := p.Client(here).Hold()
	for range 4 {
		if w, err := little.grow(25); w != nil || err != nil {
			t.Fatalf("a small request waits: %v", err)
		}
	}
	if p.Used() != 1000 || p.Own() != 100 {
		t.Errorf("%d and %d bytes are used", p.Used(), p.Own())
	}
	if w, _ := little.grow(1); w == nil {
		t.Error("what is beyond a client's own memory does not wait")
	} else {
		p.leave(w)
	}
	little.Release()
	greedy.Release()
	wantEmpty(t, p)
}

// A client that goes and comes again has no other share than before while what it took is held.
func TestSharesOutliveClients(t *testing.T) {
	p := New(Options{Limit: "L", Bytes: 1000, Largest: 100})
	first := p.Client(here)
	held := first.Hold()
	if err := held.Grow(t.Context(), 400); err != nil {
		t.Fatal(err)
	}
	first.Close()
	again := p.Client(here)
	if again.Pressure() != 0.8 {
		t.Errorf("of its share %v is taken", again.Pressure())
	}
	more := again.Hold()
	if more.TryGrow(101) {
		t.Error("an address has more than its share")
	}
	again.Close()
	if held.Shrink(300); held.Held() != 100 || len(p.addresses) != 1 {
		t.Errorf("%d bytes are held, %d addresses known", held.Held(), len(p.addresses))
	}
	held.Release()
	if wantEmpty(t, p); len(p.addresses) != 0 {
		t.Error("an address is known of which nobody is there")
	}
}

// Large requests leave the reserve to small ones, of their own address as well, and one address
// leaves the other its share.
func TestSharesAndReserve(t *testing.T) {
	p := New(Options{Limit: "L", Bytes: 1600, Small: 50})
	took := func(at netip.Addr, n int64) (*Hold, bool) {
		h := p.Client(at).Hold()
		w, _ := h.grow(n)
		if w != nil {
			p.leave(w)
		}
		return h, w == nil
	}
	large := 0
	for range 20 {
		if _, ok := took(here, 100); ok {
			large += 100
		}
	}
	if large != 800 {
		t.Errorf("the large requests of one address took %d of 1600", large)
	}
	for range 20 {
		if _, ok := took(there, 100); ok {
			large += 100
		}
	}
	if large != 1200 {
		t.Errorf("large requests took %d of 1600", large)
	}
	little := 0
	for range 20 {
		if _, ok := took(here, 50); ok {
			little += 50
		}
	}
	if little != 200 {
		t.Errorf("small requests of one address took %d of the reserve of 400", little)
	}
	if _, ok := took(there, 50); !ok {
		t.Error("the other address has no part in the reserve")
	}
}

// A request that grows from small to large leaves the reserve.
func TestGrowingLeavesTheReserve(t *testing.T) {
	p := New(Options{Limit: "L", Bytes: 1600, Small: 50})
	h := p.Client(here).Hold()
	for _, n := range []int64{40, 40, 40} {
		if err := h.Grow(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if p.used != [2]int64{0, 120} || h.client.small != 0 {
		t.Errorf("used are %v", p.used)
	}
	h.ShrinkTo(30)
	if h.Held() != 30 || p.used != [2]int64{0, 30} {
		t.Errorf("used are %v", p.used)
	}
	h.Release()
	wantEmpty(t, p)
}

// Whoever comes later, but holds less, is served first.
func TestTheAddressThatHoldsLeastIsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Limit: "L", Bytes: 1200, Small: 1}) // 900 for large ones, 600 for each address
		first := p.Client(here).Hold()
		other := p.Client(there).Hold()
		for h, n := range map[*Hold]int64{first: 500, other: 400} {
			if err := h.Grow(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		order := make(chan netip.Addr, 2)
		var done sync.WaitGroup
		for _, at := range []netip.Addr{here, there} {
			done.Go(func() {
				h := p.Client(at).Hold()
				if err := h.Grow(t.Context(), 100); err != nil {
					t.Error(err)
				}
				order <- at
			})
			synctest.Wait()
		}
		other.ShrinkTo(300)
		synctest.Wait()
		if got := <-order; got != there {
			t.Errorf("%v was served first", got)
		}
		first.Release()
		done.Wait()
	})
}

// What can never be had is refused at once; what cannot be had for now, in time.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Limit: "Memory", Bytes: 1000, Wait: time.Second})
		if err := p.Client(here).Hold().Grow(t.Context(), 501); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v", err)
		}
		h := p.Client(here).Hold()
		if err := h.Grow(t.Context(), 500); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := p.Client(here).Hold().Grow(t.Context(), 500); !errors.Is(err, ErrFull) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.Client(here).Hold().Grow(ctx, 500); !errors.Is(err, ErrFull) ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		h.Release()
		wantEmpty(t, p)
	})
}

// Requests that all need more, and leave none, do not wait for each other: the older ones get what
// the younger ones give up, at once.
func TestWaitersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Limit: "L", Bytes: 100, Largest: 100, Wait: time.Second})
		began := time.Now()
		done := make([]bool, 10)
		holds := make([]*Hold, len(done))
		for i := range holds {
			holds[i] = p.Client(here).Hold()
			if err := holds[i].Grow(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
		}
		var working sync.WaitGroup
		for i, h := range holds {
			working.Go(func() {
				defer h.Release()
				done[i] = h.Grow(t.Context(), 30) == nil
			})
		}
		working.Wait()
		// only the sixth that waits has to give up, and all cannot be served
		if slices.Contains(done[:5], false) || !slices.Contains(done, false) {
			t.Errorf("served are %v", done)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the requests waited for %v", took)
		}
		wantEmpty(t, p)
	})
}

// A pool that the largest request fills has no reserve. Requests of every size find room in it all
// the same.
func TestPoolWithoutReserve(t *testing.T) {
	for n := int64(1); n <= 1<<20; n *= 4 {
		p := New(Options{Limit: "L", Bytes: 1 << 20, Largest: 1 << 20})
		h := p.Client(here).Hold()
		if !h.TryGrow(n) || !h.TryGrow(1<<20-n) {
			t.Errorf("%d bytes find no room in an empty pool", n)
		}
	}
}

// Whatever requests take, wait for, give up and give back, together they never hold more than there
// is, and nothing is left in the end.
func TestPoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 1000
		p := New(Options{Limit: "L", Bytes: total, Own: 3, Small: 20, Wait: 20 * time.Millisecond})
		var working sync.WaitGroup
		var served, refused int
		var mu sync.Mutex
		for i := range 200 {
			working.Go(func() {
				for range 20 {
					c := p.Client([]netip.Addr{here, there}[i%2])
					h := c.Hold()
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(40))*time.Millisecond)
					var err error
					for n := int64(1 + rand.IntN(20)); h.Held() < 300 && err == nil; n *= 3 {
						err = h.Grow(ctx, n)
						if used := p.Used(); used > total {
							t.Errorf("%d are held of %d", used, total)
						}
						time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
					}
					h.ShrinkTo(int64(rand.IntN(10)))
					h.Release()
					c.Close()
					cancel()
					mu.Lock()
					if err == nil {
						served++
					} else {
						refused++
					}
					mu.Unlock()
				}
			})
		}
		working.Wait()
		if served == 0 || refused == 0 {
			t.Errorf("%d were served, %d refused", served, refused)
		}
		wantEmpty(t, p)
	})
}

func TestAddressOf(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7:9092":               "192.0.2.7",
		"[::ffff:192.0.2.7]:9092":      "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:9092":  "2001:db8:1:2::",
		"[fe80::1:2:3%eth0]:9092":      "fe80::",
		"[::1]:9092":                   "::1",
		"":                             "invalid IP",
		"a pipe, which has no address": "invalid IP",
	} {
		if got := AddressOf(text).String(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// BenchmarkHold is what a request costs that no other disturbs.
func BenchmarkHold(b *testing.B) {
	p := New(Options{Limit: "L", Bytes: 1 << 30, Own: 16 << 10})
	c := p.Client(here)
	for name, n := range map[string]int64{"own": 100, "pool": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h := c.Hold()
				if err := h.Grow(b.Context(), n); err != nil {
					b.Fatal(err)
				}
				h.Release()
			}
		})
	}
}
