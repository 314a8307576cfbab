package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"firn.dev/access"
	"firn.dev/index"
	"firn.dev/segments/batch"
)

// A row that does not say what its requests need, or what they count against, does not start.
func TestRoutesSayWhatTheyNeed(t *testing.T) {
	for name, r := range map[string]rules{
		"nothing": {quota: access.Requests}, "no quota": {open: true},
		"itself":  {itself: true, asks: []access.Need{access.Read.On(access.Cluster)}, quota: access.Requests},
		"both":    {open: true, needs: []access.Need{access.Read.On(access.Cluster)}, quota: access.Requests},
		"no name": needs(access.Requests, access.Read.On(access.Topic)),
	} {
		if checkRoutes([]route{{method: "GET", pattern: "/", rules: r}}) == nil {
			t.Errorf("%s: registered", name)
		}
	}
}

// TestObjectScanner: objects end where a JSON decoder says, in whatever pieces they come.
func TestObjectScanner(t *testing.T) {
	value := rapid.OneOf(
		rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Int(), func(n int) any { return n }),
		rapid.Map(rapid.SliceOfN(rapid.String(), 0, 3), func(s []string) any { return s }),
		rapid.Map(rapid.MapOfN(rapid.String(), rapid.SampledFrom([]any{`\`, `"`, "{", "}]", nil, []any{map[string]any{}}}), 0,
			3), func(m map[string]any) any {
			return m
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		var text bytes.Buffer
		var ends []int
		for range rapid.IntRange(1, 4).Draw(t, "objects") {
			b, err := json.Marshal(rapid.MapOfN(rapid.String(), value, 0, 3).Draw(t, "object"))
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
			ends = append(ends, text.Len())
			text.WriteString(rapid.SampledFrom([]string{"", " ", "\n\r\t"}).Draw(t, "space"))
		}
		var got []int
		var scanner objectScanner
		for at := 0; at < text.Len(); {
			end := rapid.IntRange(at+1, text.Len()).Draw(t, "piece")
			for at < end {
				n, err := scanner.next(text.Bytes()[at:end])
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					at = end
					break
				}
				at += n
				got = append(got, at)
			}
		}
		if !cmp.Equal(got, ends) || scanner.inside() {
			t.Fatalf("%s ends at %v, got %v", text.Bytes(), ends, got)
		}
		if dec := jsontext.NewDecoder(&text); dec.SkipValue() != nil || dec.InputOffset() != int64(ends[0]) {
			t.Fatal("the test is wrong")
		}
	})
}

// A stored key of a client that has not logged in stays what it was in earlier versions.
func TestKeysOfStrangersStay(t *testing.T) {
	if got := ofCaller(t.Context(), "k"); got != "k" {
		t.Errorf("%q", got)
	}
}

// TestIdempotencyKeyHeader: a key is a string in quotes or bare.
func TestIdempotencyKeyHeader(t *testing.T) {
	for given, want := range map[string]string{
		`"a b"`: "a b", `a-b`: "a-b", `"a\"b\\"`: `a"b\`, `""`: "!", `"a`: "!", `"a"b`: "!", `"a\x"`: "!", `a"b`: `a"b`,
		"é": "!", `"\`: "!", " ": "!",
	} {
		got, err := idempotencyKey(http.Header{idempotencyHeader: {given}})
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
	if _, err := idempotencyKey(http.Header{idempotencyHeader: {"a", "b"}}); err == nil {
		t.Error("two keys")
	}
}

// TestCompact: what is compact has no white space but in strings, and says the same.
func TestCompact(t *testing.T) {
	for given, want := range map[string]string{
		`1`: `1`, ` [ 1 , "a b\" c" ,{ "x\\" : "\t" } ] `: `[1,"a b\" c",{"x\\":"\t"}]`, "{\n}": "{}", `"\\" `: `"\\"`,
		`{"a":[1,2]}`: `{"a":[1,2]}`,
	} {
		if got := string(compact([]byte(given))); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := jsontext.Value(rapid.SampledFrom([]string{`{"a b":[1,{"c\"\\":" "},null]}`, `["\\\\\"", "x y"]`,
			`[[],{}]`}).Draw(t, "json"))
		if err := v.Indent(jsontext.WithIndent(rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "indent"))); err != nil {
			t.Fatal(err)
		}
		got := compact(v)
		if err := v.Compact(); err != nil || string(got) != string(v) {
			t.Fatalf("%s, want %s (%v)", got, v, err)
		}
	})
}

// TestDecode: records that compaction took away are passed over, and a batch of which nothing is
// wanted is not decoded.
func TestDecode(t *testing.T) {
	s := &Server{readers: newReaders(Limits{}.withDefaults())}
	build := func(base int64, values ...string) []byte {
		var records []batch.Record
		for i, v := range values {
			records = append(records, batch.Record{Offset: int64(i), Value: []byte(v)})
		}
		b, err := batch.Build(records, batch.NoProducer(batch.LZ4))
		if err != nil {
			t.Fatal(err)
		}
		batch.SetBaseOffset(b, base)
		return b
	}
	run := append(build(0, "a", "b"), build(7, "c", "d")...)
	var told []unreadable
	skip := func(u unreadable) (bool, error) {
		told = append(told, unreadable{From: u.From, To: u.To})
		return true, nil
	}
	decode := func(batches [][]byte, offset int64, most int) (string, int64, error) {
		var got []string
		take := func(r batch.Record) (bool, error) {
			if len(got) == most {
				return false, nil
			}
			got = append(got, string(r.Value))
			return true, nil
		}
		next, err := s.decode(t.Context(), &index.Chunk{Batches: batches}, offset, taker{take, skip})
		return strings.Join(got, ""), next, err
	}
	for _, c := range []struct {
		offset int64
		most   int
		want   string
		next   int64
	}{{0, 9, "abcd", 9}, {1, 9, "bcd", 9}, {2, 9, "cd", 9}, {5, 9, "cd", 9}, {8, 9, "d", 9}, {0, 1, "a", 1},
		{0, 2, "ab", 2}, {0, 3, "abc", 8}} {
		if got, next, err := decode([][]byte{run}, c.offset, c.most); got != c.want || next != c.next || err != nil {
			t.Errorf("%+v: %q, %d, %v", c, got, next, err)
		}
	}
	broken := build(9, "e", "f", "g")
	broken[len(broken)-3] ^= 1
	run = append(run, broken...)
	run = append(run, build(12, "h")...)
	for _, offset := range []int64{7, 9, 10} {
		told = nil
		got, next, err := decode([][]byte{run}, offset, 9)
		if want := "cdh"; got != want[min(2, offset-7):] || next != 13 || err != nil {
			t.Errorf("over a broken batch from %d: %q, %d, %v", offset, got, next, err)
		}
		if want := []unreadable{{From: max(9, offset), To: 12}}; !slices.Equal(told, want) {
			t.Errorf("from %d it is told of %+v, not %+v", offset, told, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range cap(s.readers.decoding) {
		s.readers.decoding <- struct{}{}
	}
	if _, err := s.decode(ctx, &index.Chunk{Batches: [][]byte{run}}, 0, taker{func(batch.Record) (bool, error) {
		return true, nil
	}, skip}); err == nil {
		t.Error("a client that has gone is waited for")
	}
}
