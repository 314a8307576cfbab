package coordinator_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// lifeOf is the present life of a node that is the only one.
func lifeOf(t *testing.T, store segments.Store) (*coordinator.Node, *coordinator.Life) {
	t.Helper()
	n := join(t, store)
	life, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n, life
}

// TestCarry: a segment that is committed for the next object of the journal is in it, before its
// fact.
func TestCarry(t *testing.T) {
	store := memory.New()
	n, life := lifeOf(t, store)
	at := segments.Partition{Topic: createTopic(t, n, "t", 1)}
	c, err := life.Carry(t.Context(), time.Now())
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	req := request(at, 3)
	req.Segment = c.ID()
	answer, err := life.Commit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("segment"), 100)
	if err := c.Settle(t.Context(), answer.Entry, body); err != nil {
		t.Fatal(err)
	}
	if there, err := store.Get(t.Context(), c.ID().Key(), 0, int64(len(body))); err != nil || !bytes.Equal(there, body) {
		t.Errorf("the object does not begin with the segment: %v", err)
	}
	if there, err := life.Carries(t.Context(), c.ID(), false); err != nil || !there {
		t.Error("it is not found", err)
	}
	state, err := coordinator.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if !coordinator.NewView(state).HasSpan(at, 0, c.ID()) {
		t.Error("the bucket has no span of it")
	}
	again, err := life.Carry(t.Context(), time.Now())
	if err != nil || again == nil || again.ID() == c.ID() {
		t.Fatal("the next object is nobody's", err)
	}
	again.Release()
}

// TestCarriersGo: an object of the journal that carries a segment stays as long as that is needed,
// and goes after a while when it is not, though nobody writes.
func TestCarriersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		n := joinShared(t, store, embedded.New(embedded.Options{}), 1, 1000)
		life, err := n.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		topic := createTopic(t, n, "t", 1)
		c, err := life.Carry(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		req := request(segments.Partition{Topic: topic}, 3)
		req.Segment = c.ID()
		answer, err := life.Commit(t.Context(), req)
		if err == nil {
			err = c.Settle(t.Context(), answer.Entry, []byte("segment"))
		}
		if err != nil {
			t.Fatal(err)
		}
		there := func() bool {
			_, err := store.Get(t.Context(), c.ID().Key(), 0, 1)
			return err == nil
		}
		time.Sleep(3 * time.Hour)
		if !there() {
			t.Fatal("it is gone, and needed")
		}
		if _, err := n.Change(t.Context(), coordinator.Change{DeleteTopic: &topic}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(coordinator.DefaultGrace)
		if !there() {
			t.Error("it is gone before a reader that is behind has read it")
		}
		time.Sleep(2 * time.Hour)
		if there() {
			t.Error("it stays for ever")
		}
	})
}

// TestCarriedIDsAreUnlike: an id that was of no use is not given out again, though the object is.
func TestCarriedIDsAreUnlike(t *testing.T) {
	_, life := lifeOf(t, memory.New())
	seen := map[segments.ID]bool{}
	for now := time.Now(); ; {
		c, err := life.Carry(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if c == nil {
			break // so many in one second that the next would be of a later one
		}
		if seen[c.ID()] || c.ID().Time().After(now.Add(2*time.Second)) {
			t.Errorf("%s, of %s", c.ID(), c.ID().Time())
		}
		seen[c.ID()] = true
		c.Release()
	}
	if len(seen) < 2 {
		t.Errorf("%d ids", len(seen))
	}
}

// TestCarries: an object that is to carry a segment may still come, until its chain is sealed. What
// nobody can know to be in the bucket is not settled.
func TestCarries(t *testing.T) {
	store := memory.New()
	_, life := lifeOf(t, store)
	c, err := life.Carry(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
	for _, seal := range []bool{false, true, true} {
		if there, err := life.Carries(t.Context(), c.ID(), seal); err != nil || there {
			t.Errorf("%v, %v", there, err)
		}
	}
	if err := store.Put(t.Context(), c.ID().Key(), []byte("late")); !errors.Is(err, segments.ErrExists) {
		t.Errorf("its chain is not sealed: %v", err)
	}
	err = life.Settle(t.Context(), coordinator.Entry{Seq: 1, Fact: &coordinator.Fact{
		Incarnation: life.Incarnation(), Commit: &coordinator.Commit{Segment: c.ID()},
	}})
	if !errors.Is(err, coordinator.ErrNotCarried) {
		t.Errorf("a fact without its bytes: %v", err)
	}
}

// TestAbandon: the next life begins in the next incarnation.
func TestAbandon(t *testing.T) {
	n := joinShared(t, memory.New(), shared{embedded.New(embedded.Options{})}, 1, 1000)
	before, err := n.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before.Abandon(errors.New("a test"))
	<-before.Ended()
	after, err := n.Life(t.Context())
	if err != nil || after.Incarnation() != before.Incarnation()+1 {
		t.Fatal(after, err)
	}
}
