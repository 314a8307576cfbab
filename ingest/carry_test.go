package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// keys counts the objects of a store by the first part of their keys.
func keys(t testing.TB, store segments.Store) map[string]int {
	t.Helper()
	found := map[string]int{}
	for object, err := range store.List(context.Background(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(object.Key, "/")
		found[kind]++
	}
	return found
}

// TestCarried: what is small is put once, in the journal, and read back from there after a restart.
func TestCarried(t *testing.T) {
	const producers, batches, window = 4, 30, 5
	store := memory.New()
	n := openNode(t, store)
	ps := createTopic(t, n, 4)
	before := keys(t, store)
	w := openWriter(t, store, n, func(o *Options) { o.CarryBytes = 64 << 10 })
	for id := range int64(producers) {
		produce(t, w, ps, id, batches, window)
	}
	closeWriter(t, w)
	closeNode(t, n)
	after := keys(t, store)
	if after["segments"] > 0 || after["journal"] == before["journal"] {
		t.Errorf("%v became %v", before, after)
	}
	n = openNode(t, store)
	defer closeNode(t, n)
	for _, p := range ps {
		if got := readBack(t, store, n.View(), p); got != producers*batches {
			t.Errorf("%s holds %d batches, want %d", p, got, producers*batches)
		}
	}
}

// mortal is a cluster in which a node may be dead.
type mortal struct {
	*cluster
	dead bool
}

func (m *mortal) Alive(string) bool { return !m.dead }

// abandoned is a life that remembers why it was abandoned. Its journal carries nothing.
type abandoned struct {
	life
	why error
}

func (l *abandoned) Carries(context.Context, segments.ID, bool) (bool, error) { return false, nil }

func (l *abandoned) Abandon(why error) { l.why = why }

// TestMissed: a commit whose bytes do not come ends the life, at once when its writer is dead and
// else after some time.
func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &mortal{cluster: newCluster()}
		w := &Writer{node: n, missing: missing{}}
		carried := func(number uint64) segments.ID {
			id, ok := segments.CarriedID(segments.NewLifeID(time.Now()), number, time.Now())
			if !ok {
				t.Fatal("there is no id")
			}
			return id
		}
		slow, other := carried(1), carried(2)
		looks := func(d time.Duration, ids ...segments.ID) error {
			time.Sleep(d)
			l := &abandoned{}
			w.missed(l, ids)
			return l.why
		}
		if err := errors.Join(looks(0, slow), looks(missedFor, slow), looks(1, other), looks(missedFor, slow)); err != nil {
			t.Errorf("given up too soon: %v", err)
		}
		if err := looks(missedFor+1, slow); !errors.Is(err, errNeverPut) {
			t.Errorf("its writer is slow: %v", err)
		}
		n.dead = true
		if err := looks(0, other); !errors.Is(err, errNeverPut) {
			t.Errorf("its writer is dead: %v", err)
		}
	})
}

// TestNotCarried: a segment that the journal was to carry, and never will, keeps its time under the
// id that it has instead.
func TestNotCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriter(t, newCluster(), memory.New(), nil)
		sealed := time.Now().Truncate(time.Second)
		id, ok := segments.CarriedID(segments.NewLifeID(sealed), 1, sealed)
		if !ok {
			t.Fatal("there is no id")
		}
		time.Sleep(commitDeadline / 2)
		s := &segment{id: id, sealed: sealed, tried: true}
		if err := (&committer{w: w, life: &abandoned{}, ctx: t.Context()}).resolve(s); err != nil {
			t.Fatal(err)
		}
		<-s.stored
		if _, _, carried := s.id.Carrier(); carried || !s.id.Time().Equal(sealed) {
			t.Errorf("it became %s, of %v, not of %v", s.id, s.id.Time(), sealed)
		}
	})
}
