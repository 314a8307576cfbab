package quota

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/access"
)

func user(name string) Entity { return Entity{User: Named(name)} }
func app(name string) Entity  { return Entity{ClientID: Named(name)} }
func both(u, c Name) Entity   { return Entity{User: u, ClientID: c} }
func produced(e Entity, bytes float64) Limit {
	return Limit{Entity: e, Of: access.ProducedBytes, Value: bytes}
}

// The most specific of Kafka's eight levels holds, and says who shares it.
func TestPrecedence(t *testing.T) {
	alice, one := Named("alice"), Named("app")
	levels := []struct{ limit, shared Entity }{ // the first that is set holds
		{both(alice, one), both(alice, one)},
		{both(alice, Default), both(alice, one)},
		{Entity{User: alice}, Entity{User: alice}},
		{both(Default, one), both(alice, one)},
		{both(Default, Default), both(alice, one)},
		{Entity{User: Default}, Entity{User: alice}},
		{Entity{ClientID: one}, Entity{ClientID: one}},
		{Entity{ClientID: Default}, Entity{ClientID: one}},
	}
	by := Client{"alice", "app"}
	for set := range 1 << len(levels) {
		others := []Limit{produced(user("bob"), 1), produced(both(alice, Named("other")), 2),
			produced(both(Default, Named("other")), 3), {Entity: both(alice, one), Of: access.FetchedBytes, Value: 4}}
		want := -1
		for i := len(levels) - 1; i >= 0; i-- {
			if set>>i&1 == 1 {
				others, want = append(others, produced(levels[i].limit, float64(100+i))), i
			}
		}
		shared, limit, limited := NewTable(others).of(by, access.ProducedBytes)
		if limited != (want >= 0) {
			t.Fatalf("levels %08b: limited %v", set, limited)
		}
		if limited && (limit != float64(100+want) || shared != levels[want].shared) {
			t.Errorf("levels %08b: limit %v shared as %q, want level %d", set, limit, shared, want+1)
		}
	}
}

func TestKeysSayWhatTheyAre(t *testing.T) {
	for _, l := range []Limit{
		produced(user("alice"), 1), produced(both(Default, Named("a<b")), 1), produced(both(Default, Default), 1),
		{Entity: Entity{IP: Named("10.0.0.7")}, Of: access.Connections, Value: 1},
		{Entity: Entity{IP: Default}, Of: access.Connections, Value: 1},
		{Entity: app("zoë"), Of: access.Requests, Value: 1},
	} {
		again, err := ParseKey(l.Key())
		if err != nil || again != l {
			t.Errorf("%s is read as %v, %v", l.Key(), again, err)
		}
	}
	if got, want := produced(both(Named("alice"), Named("app")), 1).Key(),
		`[["client-id","app"],["user","alice"],"producer_byte_rate"]`; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	long := Limit{Entity: Entity{IP: Named("2001:0db8:0:0::1")}, Of: access.Connections}
	if got, want := long.Key(), `[["ip","2001:db8::1"],"connection_creation_rate"]`; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	for _, key := range []string{"", "[]", `["producer_byte_rate"]`, `[["user","a"],"speed"]`,
		`[["user"],"producer_byte_rate"]`,
		`[["team","a"],"producer_byte_rate"]`, `[[null,"a"],"producer_byte_rate"]`, `[["ip",null],"producer_byte_rate"]`} {
		if _, err := ParseKey(key); err == nil {
			t.Errorf("%s is taken for a quota", key)
		}
	}
}

func TestWhatIsNoLimit(t *testing.T) {
	for name, l := range map[string]Limit{
		"nobody":               produced(Entity{}, 1),
		"an empty name":        produced(user(""), 1),
		"a long name":          produced(user(string(make([]byte, maxNameBytes+1))), 1),
		"no text":              produced(user("a\xff"), 1),
		"zero":                 produced(user("a"), 0),
		"NaN":                  produced(user("a"), math.NaN()),
		"half a byte":          produced(user("a"), 1.5),
		"bytes of an ip":       produced(Entity{IP: Default}, 1),
		"a user with an ip":    produced(Entity{User: Default, IP: Default}, 1),
		"connections of users": {Entity: user("a"), Of: access.Connections, Value: 1},
		"a host name":          {Entity: Entity{IP: Named("localhost")}, Of: access.Connections, Value: 1},
		"no quota":             {Entity: user("a"), Value: 1},
		"no limit at all":      {Entity: user("a"), Of: access.Unthrottled, Value: 1},
	} {
		if l.Valid() == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

// limitsOf are limits that do not change.
func limitsOf(limits ...Limit) *Limits {
	table := NewTable(limits)
	return NewLimits(func() *Table { return table })
}

// A client that waits as it is told gets what its quota allows, to within a tenth over ten seconds,
// whatever the size of its requests, and one that has no quota never waits.
func TestRateHoldsToWithinATenth(t *testing.T) {
	for _, size := range []float64{32 << 10, 1 << 20, 64 << 20} {
		synctest.Test(t, func(t *testing.T) {
			const rate = 10 << 20
			l := limitsOf(produced(user("alice"), rate))
			alice, bob := Client{"alice", "a"}, Client{"bob", "b"}
			random := rand.New(rand.NewPCG(1, uint64(size)))
			began, used := time.Now(), 0.0
			for time.Since(began) < 100*time.Second {
				amount := size * (0.5 + random.Float64())
				used += amount
				time.Sleep(l.Use(access.ProducedBytes, alice, amount))
				if wait := l.Use(access.ProducedBytes, bob, amount); wait != 0 {
					t.Fatalf("a client without a quota waits %v", wait)
				}
			}
			got := used / time.Since(began).Seconds()
			if got < 0.95*rate || got > 1.05*rate {
				t.Errorf("requests of %.0f bytes: %.0f bytes a second, and the quota is %d", size, got, rate)
			}
		})
	}
}

// Clients that share a limit share what it allows, and a client that was quiet may use as much at
// once as the burst, and no more.
func TestSharingAndBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limitsOf(produced(user("alice"), 1000), produced(app("shared"), 1000))
		one, two := Client{"alice", "1"}, Client{"alice", "2"}
		time.Sleep(time.Hour)
		if wait := l.Use(access.ProducedBytes, one, 1000); wait != 0 {
			t.Errorf("a quiet client waits %v", wait)
		}
		if wait := l.Use(access.ProducedBytes, two, 500); wait != 500*time.Millisecond {
			t.Errorf("the other client of the user waits %v", wait)
		}
		if wait := l.Wait(access.ProducedBytes, one); wait != 500*time.Millisecond {
			t.Errorf("the first client waits %v", wait)
		}
		l.Use(access.ProducedBytes, Client{"bob", "shared"}, 1500)
		if wait := l.Wait(access.ProducedBytes, Client{"eve", "shared"}); wait != 500*time.Millisecond {
			t.Errorf("a client of the same id waits %v", wait)
		}
		time.Sleep(500 * time.Millisecond)
		if wait := l.Wait(access.ProducedBytes, one); wait != 0 {
			t.Errorf("after the wait it waits %v", wait)
		}
	})
}

// One wait is short enough for a client to survive it, and what is left of it comes later; what a
// client owes is bounded.
func TestWaitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limitsOf(produced(user("alice"), 1), Limit{Entity: user("alice"), Of: access.Requests, Value: 50})
		alice := Client{User: "alice"}
		if wait := l.Use(access.ProducedBytes, alice, 1e18); wait != 20*time.Second {
			t.Errorf("waits %v at once", wait)
		}
		time.Sleep(20 * time.Second)
		if wait := l.Wait(access.ProducedBytes, alice); wait != 20*time.Second {
			t.Errorf("then it waits %v", wait)
		}
		time.Sleep(maxDebt)
		if wait := l.Wait(access.ProducedBytes, alice); wait != 0 {
			t.Errorf("after %v it waits %v", maxDebt, wait)
		}
		// Of each second it has half.
		if wait := l.Use(access.Requests, alice, 0.75); wait != 500*time.Millisecond {
			t.Errorf("after three quarters of a second's work it waits %v", wait)
		}
	})
}

// Limits that change hold at once.
func TestChangedLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable([]Limit{produced(user("alice"), 1000)})
		l := NewLimits(func() *Table { return table })
		alice := Client{User: "alice"}
		if wait := l.Use(access.ProducedBytes, alice, 5000); wait != 4*time.Second {
			t.Errorf("waits %v", wait)
		}
		table = NewTable(nil)
		if wait := l.Use(access.ProducedBytes, alice, 5000); wait != 0 {
			t.Errorf("without a limit it waits %v", wait)
		}
		if rate, limited := l.Rate(access.ProducedBytes, alice); limited {
			t.Errorf("without a limit its rate is %v", rate)
		}
	})
}

func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limitsOf(Limit{Entity: Entity{IP: Named("10.0.0.1")}, Of: access.Connections, Value: 5},
			Limit{Entity: Entity{IP: Default}, Of: access.Connections, Value: 1})
		admitted := func(ip string, during time.Duration) (n int) {
			for began := time.Now(); time.Since(began) < during; time.Sleep(10 * time.Millisecond) {
				if l.Connect(ip) == 0 {
					n++
				}
			}
			return n
		}
		if n := admitted("10.0.0.1", 100*time.Second); n < 540 || n > 560 { // 5 a second, and 50 at once
			t.Errorf("%d connections in 100 seconds", n)
		}
		if n := admitted("10.0.0.2", 100*time.Second); n < 108 || n > 112 {
			t.Errorf("%d connections of another address in 100 seconds", n)
		}
		if wait := (*Limits)(nil).Connect("10.0.0.2"); wait != 0 {
			t.Errorf("without limits it waits %v", wait)
		}
	})
}

// A client that makes up client ids takes no more memory than the bound says, and those that were
// quiet long enough are forgotten.
func TestCountersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limitsOf(produced(Entity{ClientID: Default}, 1000), produced(user("debtor"), 1000))
		debtor := Client{User: "debtor"}
		for i := range 3 * maxCounters {
			l.Use(access.ProducedBytes, Client{"eve", fmt.Sprint(i)}, 500)
			if i%1000 == 0 && l.Use(access.ProducedBytes, debtor, 1e9) == 0 {
				t.Fatal("a client in debt was forgotten, though it was not quiet")
			}
		}
		if n := l.Counted(); n != maxCounters {
			t.Errorf("%d are counted, and %d may be", n, maxCounters)
		}
		time.Sleep(time.Second)
		for i := range maxCounters {
			l.Use(access.ProducedBytes, Client{"eve", fmt.Sprint(i)}, 500)
			time.Sleep(time.Second)
		}
		if n := l.Counted(); n > 3 {
			t.Errorf("%d are counted, and all but the last have nothing to remember", n)
		}
	})
}

func BenchmarkUseWithoutLimits(b *testing.B) {
	l := limitsOf()
	for b.Loop() {
		l.Use(access.ProducedBytes, Client{"alice", "app"}, 1000)
	}
}

func BenchmarkUse(b *testing.B) {
	l := limitsOf(produced(Entity{ClientID: Default}, 1e18))
	for b.Loop() {
		l.Use(access.ProducedBytes, Client{"alice", "app"}, 1000)
	}
}
