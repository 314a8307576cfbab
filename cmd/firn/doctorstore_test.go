package main

import (
	"context"
	"strings"
	"sync"
	"testing"

	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

// overwriting is a store that does not know If-None-Match, as many that speak S3 do not: the last
// put wins.
type overwriting struct{ segments.Store }

func (o overwriting) Put(ctx context.Context, key string, body []byte) error {
	if err := o.Delete(ctx, key); err != nil {
		return err
	}
	return o.Store.Put(ctx, key, body)
}

// lenient is a store that takes put-if-absent for granted of two that come at once, and honours it
// otherwise. A third put comes before or behind what one of them does, never in the middle.
type lenient struct {
	segments.Store
	mu   *sync.Mutex
	left *int // of the two
}

func (l lenient) Put(ctx context.Context, key string, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *l.left > 0 {
		*l.left--
		return overwriting{l.Store}.Put(ctx, key, body)
	}
	return l.Store.Put(ctx, key, body)
}

// TestDoctorRefusesStoresThatOverwrite wants a failure, with advice, and nothing left behind.
func TestDoctorRefusesStoresThatOverwrite(t *testing.T) {
	for name, store := range map[string]segments.Store{
		"overwriting": overwriting{memory.New()},
		"lenient":     lenient{memory.New(), new(sync.Mutex), new(2)},
		"honest":      memory.New(),
	} {
		t.Run(name, func(t *testing.T) {
			p := probe{store: store, prefix: "doctor/test/"}
			v := p.checkRace(t.Context())
			if name == "honest" {
				if v.level != ok {
					t.Errorf("an honest store: %+v", v)
				}
			} else if v.level != fail || !strings.Contains(v.detail, "not honoured") ||
				!strings.Contains(v.advice, "do not use this store") {
				t.Errorf("%+v", v)
			}
			if err := p.tidy(t.Context()); err != nil {
				t.Error(err)
			}
			for o := range store.List(t.Context(), "", "") {
				t.Errorf("%s is left behind", o.Key)
			}
		})
	}
}

// TestDoctorStopsAtAStoreThatDoesNotWork says what is wrong once, not four times.
func TestDoctorStopsAtAStoreThatDoesNotWork(t *testing.T) {
	broken := storetest.NewFaults(memory.New(), func(storetest.Request) storetest.Fault {
		return storetest.Fault{Before: storetest.ErrInjected}
	})
	var found []finding
	probe{store: broken, prefix: "doctor/test/"}.examine(t.Context(), inProcess, func(f finding) bool {
		found = append(found, f)
		return true
	})
	if len(found) != 1 || found[0].name != "store" || found[0].level != fail {
		t.Errorf("%+v", found)
	}
}
