package coordinator

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// hooked calls before, once, ahead of the first put of a key with this prefix.
type hooked struct {
	segments.Store
	prefix string
	before func()
}

func (h *hooked) Put(ctx context.Context, key string, body []byte) error {
	if before := h.before; before != nil && strings.HasPrefix(key, h.prefix) {
		h.before = nil
		before()
	}
	return h.Store.Put(ctx, key, body)
}

// writer is a life reduced to its chain, in a bucket with one opened incarnation.
type writer struct {
	t     *testing.T
	store segments.Store
	chain *chain
	end   int64
}

func newWriter(t *testing.T, store segments.Store) *writer {
	state, err := Recover(t.Context(), store, RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return beginLife(t, store, state.incarnation)
}

// beginLife begins a life's chain in a bucket.
func beginLife(t *testing.T, store segments.Store, in Incarnation) *writer {
	c := &chain{store: store, life: "life", generation: Generation{Incarnation: in}, clock: time.Now}
	if _, err := c.begin(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	return &writer{t, store, c, 0}
}

// write journals a commit of one record.
func (w *writer) write() error {
	segment := segments.ID{byte(w.end)}
	span := Span{Segment: segment, Base: w.end, Last: w.end, Length: 1}
	f := &Fact{Incarnation: w.chain.generation.Incarnation, Commit: &Commit{
		Segment: segment, Spans: []CommitSpan{{Partition: simPartition(0), Span: span}},
	}}
	err := w.chain.put(w.t.Context(), w.chain.object([][]byte{AppendFact(nil, f)}))
	if err == nil {
		w.end++
	}
	return err
}

// snapshot writes one and deletes what it covers.
func (w *writer) snapshot() {
	w.t.Helper()
	l := loader{w.store, 1}
	found, err := l.load(w.t.Context(), w.chain.generation.Incarnation)
	if err != nil {
		w.t.Fatal(err)
	}
	in := w.chain.generation.Incarnation
	o := snapshotObject{incarnation: in, n: found.snapshot + 1, covers: found.covers, state: found.state}
	if err := w.store.Put(w.t.Context(), snapshotKey(o.incarnation, o.n), o.encode()); err != nil {
		w.t.Fatal(err)
	}
	tidy := tidier{loader: l, in: w.chain.generation.Incarnation, retention: time.Hour}
	untidy, err := tidy.look(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Delete(w.t.Context(), slices.Concat(untidy.keys, untidy.seals)...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *writer) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// Between the listing of a recovery and its seal, the writer goes on, a snapshot is
// written, and the key that the seal wants is deleted: the seal lands in the middle of the
// chain. The recovery must notice.
func TestSealInTheMiddleOfAChain(t *testing.T) {
	bucket := memory.New()
	w := newWriter(t, bucket)
	w.must(w.write())
	slow := &hooked{Store: bucket, prefix: journalPrefix, before: func() {
		w.must(w.write())
		w.must(w.write())
		w.snapshot()
	}}
	state, err := Recover(t.Context(), slow, RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.write(); !errors.Is(err, ErrFenced) {
		t.Errorf("the writer goes on after the recovery: %v", err)
	}
	if got := state.partitions[simPartition(0)].end; got != w.end {
		t.Errorf("recovered up to %d, written were %d", got, w.end)
	}
}

// A recovery that is overtaken must not open what the other has settled as void, and says so.
func TestOvertakenRecovery(t *testing.T) {
	for name, prefix := range map[string]string{"before it seals": journalPrefix, "before it opens": snapshotKey(2, 0)} {
		t.Run(name, func(t *testing.T) {
			bucket := memory.New()
			w := newWriter(t, bucket)
			w.must(w.write())
			slow := &hooked{Store: bucket, prefix: prefix, before: func() {
				state, err := Recover(t.Context(), bucket, RecoverOptions{Who: "the other"})
				w.must(err)
				if state.Incarnation() != 3 || state.partitions[simPartition(0)].end != 1 {
					t.Errorf("the other recovered incarnation %d", state.Incarnation())
				}
			}}
			if _, err := Recover(t.Context(), slow, RecoverOptions{}); !errors.Is(err, ErrRecoveryLost) {
				t.Errorf("the overtaken recovery: %v", err)
			}
			again, err := Recover(t.Context(), bucket, RecoverOptions{})
			w.must(err)
			if again.Incarnation() != 4 || again.partitions[simPartition(0)].end != 1 {
				t.Errorf("the next recovered incarnation %d", again.Incarnation())
			}
		})
	}
}

// Of two that want the same number one loses.
func TestRecoveriesRaceForANumber(t *testing.T) {
	bucket := memory.New()
	slow := &hooked{Store: bucket, prefix: incarnationPrefix, before: func() {
		if _, err := Recover(t.Context(), bucket, RecoverOptions{}); err != nil {
			t.Error(err)
		}
	}}
	if _, err := Recover(t.Context(), slow, RecoverOptions{}); !errors.Is(err, ErrRecoveryLost) {
		t.Errorf("got %v", err)
	}
}

// A recovery died after it had taken the first number: the cluster id that it drew stands.
func TestClusterIDOutlivesItsRecovery(t *testing.T) {
	bucket := memory.New()
	first := incarnationObject{n: 1, clusterID: "drawn"}
	if err := bucket.Put(t.Context(), incarnationKey(1), first.encode()); err != nil {
		t.Fatal(err)
	}
	state, err := Recover(t.Context(), bucket, RecoverOptions{})
	if err != nil || state.ClusterID() != "drawn" || state.Incarnation() != 2 {
		t.Errorf("recovered %+v, %v", state, err)
	}
}

// An object that is missing in the middle of a chain, and is in no snapshot, is an error:
// never a shorter log.
func TestMissingJournalObject(t *testing.T) {
	bucket := memory.New()
	w := newWriter(t, bucket)
	for range 3 {
		w.must(w.write())
	}
	w.must(bucket.Delete(t.Context(), journalKey("life", 2)))
	_, err := Recover(t.Context(), bucket, RecoverOptions{})
	if !errors.Is(err, errMoved) || !strings.Contains(err.Error(), journalKey("life", 2)) {
		t.Errorf("recovery: %v", err)
	}
	if _, err := Load(t.Context(), bucket); !errors.Is(err, errMoved) {
		t.Errorf("load: %v", err)
	}
}

func TestLoadOfAnEmptyBucket(t *testing.T) {
	if _, err := Load(t.Context(), memory.New()); !errors.Is(err, ErrEmptyBucket) {
		t.Errorf("got %v", err)
	}
}

// A put that returns long after the last one proves nothing: the seal may have come
// and gone meanwhile.
func TestPutAfterALongTime(t *testing.T) {
	bucket := memory.New()
	w := newWriter(t, bucket)
	now := time.Now()
	w.chain.clock = func() time.Time { return now }
	w.must(w.write())
	now = now.Add(sealsSurely)
	w.must(w.write()) // nobody has recovered: it may go on
	_, err := Recover(t.Context(), bucket, RecoverOptions{})
	w.must(err)
	w.must(bucket.Delete(t.Context(), journalKey("life", 3))) // the seal
	now = now.Add(sealsSurely)
	if err := w.write(); !errors.Is(err, ErrFenced) {
		t.Errorf("a writer that slept through a recovery goes on: %v", err)
	}
}

// The reply to a put is lost; the retry finds its own object.
func TestLostReply(t *testing.T) {
	bucket := memory.New()
	w := newWriter(t, bucket)
	body := w.chain.object(nil)
	w.must(bucket.Put(t.Context(), journalKey("life", 1), body))
	w.must(w.chain.put(t.Context(), body))
	w.must(bucket.Put(t.Context(), journalKey("life", 2), []byte("not ours")))
	if err := w.chain.put(t.Context(), w.chain.object(nil)); !errors.Is(err, ErrFenced) {
		t.Errorf("somebody else's object in the chain: %v", err)
	}
}

// A snapshot of an incarnation says of its own chains alone how far it covers them. The beginning
// of a life in a later incarnation is not a part of it: nothing of such a chain may be tidied away
// by it.
func TestLaterChainsAreNotCovered(t *testing.T) {
	f := loaded{state: NewState(2, "cluster"), covers: map[string]cover{}}
	var objects []*readObject
	for in, life := range []string{1: "before", 2: "now", 3: "later"} {
		if life != "" {
			begin := &journalObject{kind: journalBegin, life: life, incarnation: Incarnation(in)}
			seal := &journalObject{kind: journalSeal, life: life, incarnation: Incarnation(in), n: 1}
			objects = append(objects, &readObject{journalObject: begin}, &readObject{journalObject: seal})
		}
	}
	if err := f.apply(objects); err != nil {
		t.Fatal(err)
	}
	if want := map[string]cover{"before": {1, true}, "now": {1, true}}; !maps.Equal(f.covers, want) {
		t.Errorf("covered is %v, want %v", f.covers, want)
	}
}
