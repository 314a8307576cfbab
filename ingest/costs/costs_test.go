package costs

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAdvice: what is costly is told, with what to do, once enough is known.
func TestAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		request   Request
		perSecond int
		seconds   int
		want      []string
	}{
		"one record at a time": {Request{1, 1, 500, 0, 0}, 100, 60,
			[]string{"100 requests a second of 1.0 records each: with linger.ms=50 it would be 20 of 5"}},
		"plain text": {Request{4, 1000, 1 << 20, 1 << 20, 1 << 18}, 2, 60,
			[]string{"2048 KiB a second come uncompressed, and shrink to 25 %: with compression.type=lz4 or zstd it would " +
				"send that, and the node need not compress it"}},
		"both":                   {Request{1, 2, 4 << 10, 4 << 10, 1 << 10}, 50, 60, []string{lingerMs, compressionType}},
		"random bytes":           {Request{4, 1000, 1 << 20, 1 << 20, 1 << 20}, 2, 60, nil},
		"compressed":             {Request{4, 1000, 1 << 20, 0, 0}, 2, 60, nil},
		"mostly compressed":      {Request{4, 1000, 1 << 20, 1 << 18, 1 << 10}, 2, 60, nil},
		"rare":                   {Request{1, 1, 100, 100, 50}, 1, 60, nil},
		"large, though frequent": {Request{12, 1000, 1 << 20, 0, 0}, 100, 60, nil},
		"too early":              {Request{1, 1, 500, 0, 0}, 100, 20, nil},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			counter := newCounter(func() time.Time { return now })
			for range c.seconds {
				for range c.perSecond {
					counter.Add("app", "127.0.0.1", c.request)
				}
				now = now.Add(time.Second)
			}
			list := counter.List()
			if len(list) != 1 || list[0].ClientID != "app" || list[0].Requests != int64(c.perSecond*c.seconds) {
				t.Fatalf("%+v", list)
			}
			if len(list[0].Advice) != len(c.want) {
				t.Fatalf("the advice is %+v", list[0].Advice)
			}
			for i, a := range list[0].Advice {
				if !strings.Contains(a.Text, c.want[i]) && a.Config != c.want[i] {
					t.Errorf("the advice is %+v, want %q", a, c.want[i])
				}
				if counter.advised(a.Config) != 1 {
					t.Errorf("%s is not counted", a.Config)
				}
			}
		})
	}
}

// TestWindows: what is old is forgotten, and what is there says over which time it is.
func TestWindows(t *testing.T) {
	now := time.Now()
	counter := newCounter(func() time.Time { return now })
	sent := func() (n int64, seconds float64) {
		for _, p := range counter.List() {
			n, seconds = n+p.Requests, p.Seconds
		}
		return n, seconds
	}
	counter.Add("a", "h", Request{})
	now = now.Add(window)
	counter.Add("a", "h", Request{})
	if n, seconds := sent(); n != 2 || seconds != window.Seconds() {
		t.Errorf("%d in %v s", n, seconds)
	}
	now = now.Add(window)
	if n, seconds := sent(); n != 1 || seconds != window.Seconds() {
		t.Errorf("%d in %v s", n, seconds)
	}
	now = now.Add(2 * window)
	if n, _ := sent(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// TestStrangers: ids are bounded in number and length, and nothing is left out.
func TestStrangers(t *testing.T) {
	counter := newCounter(time.Now)
	for i := range 3 * mostIDs {
		counter.Add(fmt.Sprint(i), "h", Request{})
	}
	counter.Add(strings.Repeat("é", longest), "h", Request{})
	list, sum := counter.List(), int64(0)
	for _, p := range list {
		sum += p.Requests
	}
	if len(list) != mostIDs+1 || sum != 3*mostIDs+1 || list[0].ClientID != Others {
		t.Errorf("%d ids, %d requests, first %+v", len(list), sum, list[0])
	}
}

// TestSharedID: what several hosts send under one id is no fault of any of them, and nobody advises
// strangers that are counted together.
func TestSharedID(t *testing.T) {
	now := time.Now()
	counter := newCounter(func() time.Time { return now })
	for i := range 60 * 60 {
		counter.Add("producer-1", fmt.Sprint("10.0.0.", i%60), Request{Batches: 1, Records: 1, Bytes: 100})
	}
	for i := range 2 * mostIDs {
		counter.Add(fmt.Sprint(i), "h", Request{Batches: 1, Records: 1, Bytes: 100})
	}
	now = now.Add(time.Minute)
	for _, p := range counter.List() {
		if len(p.Advice) > 0 {
			t.Errorf("%s gets %+v", p.ClientID, p.Advice)
		}
	}
}
