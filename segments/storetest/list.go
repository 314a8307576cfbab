package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// orderedKeys are in the order of their bytes, which is neither that of their elements nor one that
// ignores case.
var orderedKeys = []string{
	"a-b/x", "a.b", "a/0", "a/0.x", "a/00", "a/1/2/3", "a/1/2/30", "a/1/2/4", "a/1/20", "a/B", "a/_", "a/a", "a0", "aa/a",
	"b",
}

func testListOrder(t *testing.T, b bucket) {
	shuffled := slices.Clone(orderedKeys)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	b.wantList("", "")
	for _, key := range shuffled {
		b.put(key, key)
	}
	b.wantList("", "", orderedKeys...)
	for o, err := range b.second.List(t.Context(), "", "") {
		if err != nil || o.Size != int64(len(o.Key)) {
			t.Error(o, err)
		}
	}
}

// testListPrefixAfter asks for every prefix of every key after every key, and for some beside them.
func testListPrefixAfter(t *testing.T, b bucket) {
	prefixes, afters := map[string]bool{"x": true, "a/1/2/3/4": true, "//": true, "../": true},
		[]string{"", "0", "a", "a/", "a/1", "a/1/2/", "a/1/2/35", "a/1/9", "zz"}
	for _, key := range orderedKeys {
		b.put(key, "x")
		afters = append(afters, key)
		for i := range len(key) + 1 {
			prefixes[key[:i]] = true
		}
	}
	for prefix := range prefixes {
		for _, after := range afters {
			var want []string
			for _, key := range orderedKeys {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			b.wantList(prefix, after, want...)
		}
	}
}

// testManyObjects lists more objects than S3 gives in one page, and deletes more than it takes in
// one request.
func testManyObjects(t *testing.T, b bucket) {
	const n = 1111
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("pages/%05d", i)
	}
	b.put("page", "x")
	b.put("pages-", "x")
	b.put("pages0", "x")
	b.inParallel(n, func(i int) error { return b.first.Put(t.Context(), keys[i], []byte("x")) })
	b.wantList("pages/", "", keys...)
	b.wantList("pages/", keys[99], keys[100:]...)
	b.wantList("pages/", keys[n-1])
	b.wantList("pages/01", "pages/0105", keys[1050:]...)
	if err := b.first.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	b.wantList("", "", "page", "pages-", "pages0")
}

func testListStopsEarly(t *testing.T, b bucket) {
	for _, key := range orderedKeys {
		b.put(key, "x")
	}
	list := b.second.List(t.Context(), "", "")
	for range 2 { // the sequence can be used again
		for o, err := range list {
			if err != nil || o.Key != orderedKeys[0] {
				t.Error(o, err)
			}
			break
		}
	}
}

// testListWhileChanging deletes and creates objects while it lists. Those that stay are all seen,
// in order, once.
func testListWhileChanging(t *testing.T, b bucket) {
	const n = 60
	var stay []string
	for i := range n {
		key := fmt.Sprintf("list/%d/%03d", i%3, i)
		b.put(key, "x")
		if i%2 == 0 {
			stay = append(stay, key)
		}
	}
	slices.Sort(stay)
	var seen []string
	for o, err := range b.second.List(t.Context(), "list/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if i := len(seen); i < n/2 {
			b.put(fmt.Sprintf("list/%d/%03d-new", i%3, i), "y")
			if err := b.first.Delete(t.Context(), fmt.Sprintf("list/%d/%03d", (2*i+1)%3, 2*i+1)); err != nil {
				t.Fatal(err)
			}
		}
		seen = append(seen, o.Key)
	}
	if !slices.IsSorted(seen) || len(slices.Compact(slices.Clone(seen))) != len(seen) {
		t.Errorf("out of order, or twice: %v", seen)
	}
	for _, key := range stay {
		if !slices.Contains(seen, key) {
			t.Errorf("%s was not seen", key)
		}
	}
}
