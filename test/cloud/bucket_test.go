package cloud

import (
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/segments/s3"
	"firn.dev/segments/storetest"
	"firn.dev/test/quirks"
)

// quick is a store that takes hardly any time, and refuses nothing.
var quick = Profile{Name: "quick", Small: Times{1, 2}, Large: Times{1, 2}, Get: Times{1, 2}, List: Times{1, 2},
	Delete: Times{1, 2}, Bandwidth: 1e12, Prices: standardPrices}

// TestBucket holds a slow store to what every store does.
func TestBucket(t *testing.T) {
	storetest.Run(t, func(*testing.T) segments.Store { return NewBucket(memory.New(), &quick, 1) })
}

// TestTimes draws many times: their percentiles are those that were asked for.
func TestTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	drawn := make([]time.Duration, 100_000)
	for i := range drawn {
		drawn[i] = Standard.Small.draw(r)
	}
	slices.Sort(drawn)
	for q, want := range map[float64]time.Duration{0.5: Standard.Small.P50, 0.99: Standard.Small.P99} {
		if got := quantile(drawn, q) / float64(want/ms); math.Abs(got-1) > 0.05 {
			t.Errorf("percentile %v is %.2f of what it should be", q, got)
		}
	}
}

// TestBill counts requests and knows what they cost.
func TestBill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(memory.New(), &Express, 1)
		begun := time.Now()
		if err := b.Put(t.Context(), "a", make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if time.Since(begun) < ms {
			t.Errorf("a put took %v", time.Since(begun))
		}
		if _, err := b.Get(t.Context(), "a", 0, 1<<10); err != nil {
			t.Fatal(err)
		}
		for _, err := range b.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		u := b.Usage()
		if want := (Usage{Puts: 1, Gets: 1, Lists: 1, Deletes: 1, Up: 1 << 20, Down: 1 << 10}); u != want {
			t.Errorf("counted are %+v, not %+v", u, want)
		}
		want := 2*0.00113/1000 + 0.00003/1000 + 0.0032/1024 + 0.0006/1024/1024
		if got := u.Dollars(&Express.Prices); math.Abs(got-want) > 1e-12 {
			t.Errorf("they cost $%v, not $%v", got, want)
		}
	})
}

// TestProxy has the driver for S3 pass through a proxy.
func TestProxy(t *testing.T) {
	server := httptest.NewServer(quirks.NewBucket())
	defer server.Close()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := NewProxy(target, &quick, 1)
	front := httptest.NewServer(proxy)
	defer front.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "any")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "body")
	o, err := s3.ParseURL("s3://bucket/prefix?region=us-east-1&endpoint=" + front.URL)
	if err != nil {
		t.Fatal(err)
	}
	store, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	before := proxy.Usage()
	if err := store.Put(t.Context(), "a", []byte("body")); err != nil {
		t.Fatal(err)
	}
	if body, err := store.Get(t.Context(), "a", 0, -1); err != nil || string(body) != "body" {
		t.Errorf("%q, %v", body, err)
	}
	for _, err := range store.List(t.Context(), "", "") {
		if err != nil {
			t.Error(err)
		}
	}
	if err := store.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	u := proxy.Usage().Since(before)
	if u.Up = 0; u != (Usage{Puts: 1, Gets: 1, Lists: 1, Deletes: 1, Down: 4}) {
		t.Errorf("counted are %+v", u)
	}
}
