package coordinator_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// listless refuses some listings.
type listless struct {
	segments.Store
	prefix  string
	refuses atomic.Int32 // so many
}

func (s *listless) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	if strings.HasPrefix(prefix, s.prefix) && s.refuses.Add(-1) >= 0 {
		return func(yield func(segments.Object, error) bool) { yield(segments.Object{}, errors.New("refused")) }
	}
	return s.Store.List(ctx, prefix, after)
}

// A Join that is told to try again leaves one chain and goes on as long as it is told to.
func TestJoinRetries(t *testing.T) {
	store := &listless{Store: memory.New(), prefix: "snapshots/"}
	joinShared(t, store, shared{embedded.New(embedded.Options{})}, 1, 1000)
	before := len(keys(t, store, "journal/"))
	c := embedded.New(embedded.Options{})
	state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{})
	if err == nil {
		err = c.Open(t.Context(), state)
	}
	if err != nil {
		t.Fatal(err)
	}
	const tries = 5
	store.refuses.Store(1 << 20)
	told := 0
	join := func(until int) error {
		n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: shared{c},
			Info: coordinator.NodeInfo{ID: 2}, Retry: func(error) bool {
				if told++; told == until {
					store.refuses.Store(0)
				}
				return told <= tries
			}})
		if err == nil {
			t.Cleanup(func() { n.Close(context.Background()) })
		}
		return err
	}
	if err := join(tries + 2); err == nil || told != tries+1 {
		t.Errorf("after %d failures: %v", told, err)
	}
	told = 0
	if err := join(tries); err != nil || told != tries {
		t.Errorf("after %d failures: %v", told, err)
	}
	if n := len(keys(t, store, "journal/")) - before; n > 4 { // one of each Join, and the seal of the first node's
		t.Errorf("the tries left %d objects in the journal", n)
	}
}

// A life that cannot begin for a while leaves one object in the journal, not one for each try: of a
// node, and of a guest.
func TestOneChainForAllTries(t *testing.T) {
	const tries = 6
	for name, begin := range map[string]func(t *testing.T, store *listless, c shared){
		"node": func(t *testing.T, store *listless, c shared) {
			n := joinShared(t, store, c, 1, 1000)
			state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{})
			if err == nil {
				store.refuses.Store(tries)
				err = c.Open(t.Context(), state)
			}
			if err != nil {
				t.Fatal(err)
			}
			write(t, n, request(segments.Partition{Topic: createTopic(t, n, "a", 1)}, 1))
		},
		"guest": func(t *testing.T, store *listless, c shared) {
			state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{})
			if err == nil {
				err = c.Open(t.Context(), state)
			}
			if err != nil {
				t.Fatal(err)
			}
			store.refuses.Store(tries)
			g, err := coordinator.NewGuest(coordinator.GuestOptions{Store: store, Coordinator: c})
			if err == nil {
				_, err = g.Life(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := map[string]string{"node": "snapshots/", "guest": "incarnations/"}[name]
			store := &listless{Store: memory.New(), prefix: prefix}
			begin(t, store, shared{embedded.New(embedded.Options{})})
			if left := store.refuses.Load(); left >= 0 {
				t.Fatalf("%d tries were not made", left)
			}
			if lives, want := chains(t, store), map[string]int{"node": 2, "guest": 1}[name]; len(lives) != want {
				t.Errorf("the journal has chains of %d lives, should be %d", len(lives), want)
			}
		})
	}
}

// frozen has something happen before its first listing of the journal: hours go by, for instance.
type frozen struct {
	segments.Store
	meanwhile func()
	thawed    atomic.Bool
}

func (s *frozen) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	if prefix == "journal/" && s.thawed.CompareAndSwap(false, true) {
		s.meanwhile()
	}
	return s.Store.List(ctx, prefix, after)
}

// A process that was frozen while its life began does not go on with what it read: by now that may
// lack what others have written, and tidied away.
func TestSlowBeginningIsNoLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &frozen{Store: memory.New(), meanwhile: func() { time.Sleep(2 * time.Hour) }}
		c := shared{embedded.New(embedded.Options{})}
		state, err := coordinator.Recover(t.Context(), store.Store, coordinator.RecoverOptions{})
		if err == nil {
			err = c.Open(t.Context(), state)
		}
		if err != nil {
			t.Fatal(err)
		}
		joinShared(t, store, c, 1, 1000)
		if lives := chains(t, store); !store.thawed.Load() || len(lives) != 2 {
			t.Errorf("the journal has the chains of %v, should have that of a life that did not begin, "+
				"and that of one that did", lives)
		}
	})
}

// What a life read that begins may lack what was deleted meanwhile in a newer incarnation.
func TestNoLifeWhileANewerIncarnationBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &frozen{Store: memory.New()}
		store.meanwhile = func() {
			if _, err := coordinator.Recover(t.Context(), store.Store, coordinator.RecoverOptions{}); err != nil {
				t.Error(err)
			}
		}
		c := shared{embedded.New(embedded.Options{})}
		state, err := coordinator.Recover(t.Context(), store.Store, coordinator.RecoverOptions{})
		if err == nil {
			err = c.Open(t.Context(), state)
		}
		if err != nil {
			t.Fatal(err)
		}
		life, err := joinShared(t, store, c, 1, 1000).Life(t.Context())
		if err != nil || life.Incarnation() != 3 {
			t.Errorf("it lives in %d, which a recovery had ended that nobody opened: %v", life.Incarnation(), err)
		}
	})
}

// trimmed is a coordinator whose stream has been cut off before what a follower asks for, once.
type trimmed struct {
	coordinator.Coordinator
	cut chan struct{} // closed when that happens
	now atomic.Bool
}

func (c *trimmed) Follow(ctx context.Context, in coordinator.Incarnation, after uint64) iter.Seq2[coordinator.Entry,
	error] {
	if c.now.CompareAndSwap(true, false) {
		return func(yield func(coordinator.Entry, error) bool) { yield(coordinator.Entry{}, coordinator.ErrTrimmed) }
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-c.cut:
			cancel()
		case <-ctx.Done():
		}
	}()
	return c.Coordinator.Follow(ctx, in, after)
}

// A node that fell behind the stream, and that reads in the bucket of a newer incarnation which its
// coordinator does not know, does not stand still: it ends its life.
func TestNoLifeBehindTheStreamBesideANewerIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), &trimmed{Coordinator: shared{embedded.New(embedded.Options{})}, cut: make(chan struct{})}
		n := joinShared(t, store, c, 1, 1000)
		life, err := n.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{}); err != nil {
			t.Fatal(err)
		}
		c.now.Store(true)
		close(c.cut)
		<-life.Ended()
		if life, err := n.Life(t.Context()); err != nil || life.Incarnation() != 3 {
			t.Errorf("it lives in %d: %v", life.Incarnation(), err)
		}
	})
}

// Nobody lives with a coordinator that does not know of a newer incarnation: the recovery that
// created that one may have sealed all chains that it saw, without seeing the new one.
func TestNoLifeBesideANewerIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), shared{embedded.New(embedded.Options{})}
		for range 2 { // the second dies before it opens anything
			state, err := coordinator.Recover(t.Context(), store, coordinator.RecoverOptions{})
			if err == nil && state.Incarnation() == 1 {
				err = c.Open(t.Context(), state)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		life, err := joinShared(t, store, c, 1, 1000).Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if in := life.Incarnation(); in != 3 {
			t.Errorf("the life is lived in incarnation %d, should be in 3, which comes after what the bucket knows", in)
		}
	})
}

// sluggish is a store each of whose puts takes a while, as one that is overloaded.
type sluggish struct {
	segments.Store
	put time.Duration
}

func (s sluggish) Put(ctx context.Context, key string, body []byte) error {
	select {
	case <-time.After(s.put):
		return s.Store.Put(ctx, key, body)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A direct writer whose calls end before a recovery could does not end other recoveries with each
// call: it leaves each of them more time. Before, a function with a time limit of ten seconds kept
// a whole cluster from recovering, for as long as it was called.
func TestGuestsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := sluggish{memory.New(), 6 * time.Second}
		c := shared{embedded.New(embedded.Options{})}
		g, err := coordinator.NewGuest(coordinator.GuestOptions{Store: store, Coordinator: c})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for time.Since(began) < 2*time.Minute {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := g.Life(ctx)
			cancel()
			if err == nil {
				t.Fatal("a recovery ended: the store is too fast for this test")
			}
		}
		if n := len(keys(t, store, "incarnations/")); n > 7 {
			t.Errorf("%d recoveries were begun in two minutes", n)
		}
	})
}

// A recovery that takes long and says that it lives is left alone: by a node that starts, and by
// direct writers, each of which knows nothing of the others' patience. One that has died, or gets
// nowhere, is not waited for for ever.
func TestRecoveryThatLivesIsLeftAlone(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  bool          // a node has lived, whose chain is to be sealed
		put     time.Duration // of the store, as the recovery sees it
		dies    time.Duration // after that
		in      coordinator.Incarnation
		atLeast time.Duration // until somebody lives
		atMost  time.Duration
	}{
		{"it is slow", false, 20 * time.Second, time.Hour, 1, 20 * time.Second, 25 * time.Second},
		{"it takes minutes", true, 50 * time.Second, time.Hour, 2, 100 * time.Second, 105 * time.Second},
		{"it dies", false, 20 * time.Second, 30 * time.Second, 2, 10 * time.Second, 15 * time.Second},
		{"it gets nowhere", false, time.Hour, 5 * time.Hour, 2, time.Minute, 70 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, coord, known := memory.New(), shared{embedded.New(embedded.Options{})}, 0
				if c.before {
					n := joinShared(t, store, shared{embedded.New(embedded.Options{})}, 3, 1000)
					createTopic(t, n, "a", 1)
					if err := n.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					known = 1
				}
				ctx, die := context.WithTimeout(t.Context(), c.dies)
				defer die()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					n, err := coordinator.Join(ctx, coordinator.NodeOptions{Store: sluggish{store, c.put}, Coordinator: coord,
						Info: coordinator.NodeInfo{ID: 1}})
					if err == nil {
						n.Close(context.Background()) //nolint:errcheck // its incarnation may be over
					}
				}()
				for len(keys(t, store, "incarnations/")) == known {
					time.Sleep(10 * time.Millisecond)
				}
				began := time.Now()
				for range 3 {
					g, err := coordinator.NewGuest(coordinator.GuestOptions{Store: store, Coordinator: coord})
					if err != nil {
						t.Fatal(err)
					}
					brief, end := context.WithTimeout(t.Context(), 3*time.Second)
					_, _ = g.Life(brief)
					end()
				}
				n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: coord,
					Info: coordinator.NodeInfo{ID: 2}})
				if err != nil {
					t.Fatal(err)
				}
				defer n.Close(context.Background()) //nolint:errcheck // likewise
				life, err := n.Life(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); life.Incarnation() != c.in || took < c.atLeast || took > c.atMost {
					t.Errorf("a life in incarnation %d after %v; should be in %d, after %v to %v", life.Incarnation(), took, c.in,
						c.atLeast, c.atMost)
				}
				die()
				<-ended
			})
		})
	}
}

// forgetful is a coordinator that can lose all that it holds.
type forgetful struct{ coordinator.GuestCoordinator }

func (f *forgetful) lose() { f.GuestCoordinator = shared{embedded.New(embedded.Options{})} }

// A direct writer leaves each loss to the nodes first, also one after an incarnation that it waited
// for, or recovered itself: it costs them less.
func TestGuestLeavesEveryLossToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c, patience := memory.New(), &forgetful{}, 3*time.Second
		c.lose()
		g, err := coordinator.NewGuest(coordinator.GuestOptions{Store: store, Coordinator: c, Patience: patience})
		if err != nil {
			t.Fatal(err)
		}
		for in := coordinator.Incarnation(1); in <= 4; in++ {
			began := time.Now()
			life, err := g.Life(t.Context())
			if err != nil || life.Incarnation() != in {
				t.Fatalf("a life in %v, %v; should be in %d", life, err, in)
			}
			if took := time.Since(began); in > 1 && took < patience {
				t.Errorf("the guest began to recover after %v, should leave others %v", took, patience)
			}
			c.lose()
			if _, err := life.Settled(t.Context()); !errors.Is(err, coordinator.ErrNotOpen) {
				t.Fatalf("a coordinator that lost everything: %v", err)
			}
		}
	})
}

// Nodes that use one bucket with two coordinators take it from each other again and again. Nothing
// is lost or moved, and each of them says what is wrong and what to do.
func TestTwoCoordinatorsOnOneBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		var nodes []*coordinator.Node
		var at segments.Partition
		var logs [2]bytes.Buffer // of one goroutine each: nextLife
		for id := range logs {
			n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store,
				Coordinator: shared{embedded.New(embedded.Options{})},
				Info:        coordinator.NodeInfo{ID: int32(id)}, Patience: 50 * time.Millisecond,
				Logger: slog.New(slog.NewTextHandler(&logs[id], &slog.HandlerOptions{Level: slog.LevelError}))})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close(context.Background()) //nolint:errcheck // its life may be over
			if nodes = append(nodes, n); id == 0 {
				at.Topic = createTopic(t, n, "a", 1)
			}
		}
		acked := map[segments.ID]int64{}
		for i := range 8 {
			req := request(at, 1)
			base, err := insist(t.Context(), nodes[i/2%2], req)
			if err != nil {
				t.Fatal(err)
			}
			acked[req.Segment] = base
		}
		state, err := coordinator.Load(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		found := map[segments.ID]int64{}
		for _, s := range coordinator.NewView(state).Spans(at, 0, 100) {
			found[s.Segment] = s.Base
		}
		if !maps.Equal(acked, found) {
			t.Errorf("acknowledged is %v, the bucket has %v", acked, found)
		}
		synctest.Wait()
		for id := range logs {
			for _, want := range []string{"give all of them the same coordinator", "begun=\"by node"} {
				if log := logs[id].String(); !strings.Contains(log, want) {
					t.Errorf("node %d says %q, should say %q", id, log, want)
				}
			}
		}
	})
}
