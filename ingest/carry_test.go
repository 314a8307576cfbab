package ingest

import (
	"context"
	"strings"
	"testing"

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
