package coordinator

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// openedTwice is a bucket in which two lives wrote to one incarnation, each in a generation of its
// own: neither knew what the other said.
type openedTwice struct {
	*writer
	other *chain
}

func newOpenedTwice(t *testing.T, first, second Nonce) *openedTwice {
	w := newWriter(t, memory.New())
	w.chain.generation.Nonce = first // its begin tells none, as if an older version had written it
	generation := Generation{w.chain.generation.Incarnation, second}
	b := &openedTwice{w, &chain{store: w.store, life: "life2", generation: generation, clock: time.Now}}
	if _, err := b.other.begin(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	return b
}

// journal puts spans of so many records each into a chain, from offset 0 on. A segment's name is
// the given byte and the segment's number.
func (b *openedTwice) journal(c *chain, name byte, records ...int64) {
	b.t.Helper()
	next := int64(0)
	for i, n := range records {
		f := commitFact(c.generation.Incarnation, segments.ID{name, byte(i)}, next, n)
		b.must(c.put(b.t.Context(), c.object([][]byte{AppendFact(nil, f)})))
		next += n
	}
}

func commitFact(in Incarnation, segment segments.ID, base, records int64) *Fact {
	return &Fact{Incarnation: in, Commit: &Commit{Segment: segment, Spans: []CommitSpan{
		{Partition: simPartition(0), Span: Span{Segment: segment, Base: base, Last: base + records - 1, Length: 1}}}}}
}

// names are the segments of the partition in order of their offsets, by the first two bytes.
func names(s *State) (names []string) {
	for _, span := range s.partitions[simPartition(0)].spans {
		names = append(names, spanName(&span.Span))
	}
	return names
}

func spanName(s *Span) string { return string([]byte{s.Segment[0], '0' + s.Segment[1]}) }

func doubtNames(s *State) (names []string) {
	for _, d := range s.Doubts() {
		names = append(names, spanName(&d.Span))
	}
	slices.Sort(names)
	return names
}

// An incarnation that was opened twice leaves a bucket that everybody can read and recover,
// and that all readers understand in the same way: what was served first stands, and the rest
// is named. That holds when the generations are known, and as far as possible when older
// versions wrote the journal.
func TestContradictions(t *testing.T) {
	x, y, z := Nonce{1}, Nonce{2}, Nonce{} // of z nothing is known
	type ns = []int64
	type ss = []string
	for name, test := range map[string]struct {
		nonces         [2]Nonce
		first, second  ns // records of their spans
		stand, doubted ss
		beyond         string // a hole
	}{
		"other sizes":                {[2]Nonce{x, y}, ns{2, 1}, ns{1, 1, 1}, ss{"a0", "a1"}, ss{"b0", "b1", "b2"}, ""},
		"the same sizes":             {[2]Nonce{x, y}, ns{1, 1}, ns{1, 1}, ss{"a0", "a1"}, ss{"b0", "b1"}, ""},
		"the second has more":        {[2]Nonce{x, y}, ns{1}, ns{1, 1}, ss{"a0"}, ss{"b0", "b1"}, ""},
		"unknown, other sizes":       {[2]Nonce{}, ns{2, 1}, ns{1, 1, 1}, ss{"a0", "a1"}, ss{"b0", "b1", "b2"}, ""},
		"unknown, the same sizes":    {[2]Nonce{}, ns{1, 1}, ns{1, 1}, ss{"a0", "a1"}, ss{"b0", "b1"}, ""},
		"unknown, more of them":      {[2]Nonce{}, ns{2}, ns{1, 1, 1}, ss{"a0", "b2"}, ss{"b0", "b1"}, ""},
		"the first is not known":     {[2]Nonce{z, y}, ns{1, 1}, ns{2}, ss{"b0"}, ss{"a0", "a1"}, ""},
		"the second is not known":    {[2]Nonce{x, z}, ns{1}, ns{2, 1}, ss{"a0"}, ss{"b0"}, "b1"},
		"they agree, and so nothing": {[2]Nonce{x, x}, ns{1, 1}, nil, ss{"a0", "a1"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newOpenedTwice(t, test.nonces[0], test.nonces[1])
			b.journal(b.chain, 'a', test.first...)
			reader := NewReader(b.store)
			_, err := reader.State(t.Context())
			b.must(err)
			b.journal(b.other, 'b', test.second...)
			check := func(who string, s *State, err error) {
				t.Helper()
				b.must(err)
				if got := names(s); !slices.Equal(got, test.stand) {
					t.Errorf("%s: %q stand, should be %q", who, got, test.stand)
				}
				if got := doubtNames(s); !slices.Equal(got, test.doubted) {
					t.Errorf("%s: %q are in doubt, should be %q", who, got, test.doubted)
				}
			}
			s, err := Load(t.Context(), b.store)
			check("a load", s, err)
			if name != "the first is not known" { // a reader that goes on keeps what it has read
				s, err = reader.State(t.Context())
				check("a reader that goes on", s, err)
			}
			found, err := Look(t.Context(), b.store)
			b.must(err)
			if len(found.Doubts) != len(test.doubted) {
				t.Errorf("a survey finds %v in doubt", found.Doubts)
			}
			b.snapshot()
			s, err = Load(t.Context(), b.store)
			check("a load behind a snapshot", s, err)
			var log bytes.Buffer
			s, err = Recover(t.Context(), b.store, RecoverOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if test.beyond != "" { // who recovers knows that the hole before it stays
				test.doubted = append(test.doubted, test.beyond)
			}
			check("a recovery", s, err)
			if told := strings.Contains(log.String(), "level=ERROR"); told != (len(test.doubted) > 0) {
				t.Errorf("the recovery logged %q", log.String())
			}
			for _, d := range s.Doubts() {
				if !s.references().has(d.Span.Segment, false) {
					t.Errorf("segment %s would be deleted", d.Span.Segment)
				}
			}
			s, err = Recover(t.Context(), b.store, RecoverOptions{ForgetDoubts: true})
			b.must(err)
			if len(s.Doubts()) > 0 {
				t.Errorf("%v are not forgotten", s.Doubts())
			}
		})
	}
}

// The order in which facts come does not show, also where they contradict each other.
func TestContradictionsCommute(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var facts []*Fact
		for name := range byte(3) {
			next := int64(0)
			for i := range byte(random.IntN(6)) {
				n := 1 + random.Int64N(3)
				if random.IntN(5) > 0 { // else a hole
					facts = append(facts, commitFact(1, segments.ID{'a' + name, i}, next, n))
				}
				next += n
			}
		}
		var want []byte
		for range 5 {
			random.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
			s, g := NewState(1, ""), gathered{}
			for _, f := range append(slices.Clone(facts), facts[:len(facts)/2]...) {
				nonce := Nonce{}
				if f.Commit.Segment[0] == 'c' {
					nonce = Nonce{1}
				}
				g.add(f, nonce)
			}
			s.addDoubts(g.apply(s))
			o := snapshotObject{incarnation: 1, state: s}
			got := o.encode()
			if want != nil && !bytes.Equal(got, want) {
				t.Fatalf("facts in another order make another state")
			}
			want = got
			once := slices.Clone(s.doubts)
			again := gathered{}
			for _, f := range facts {
				nonce := Nonce{}
				if f.Commit.Segment[0] == 'c' {
					nonce = Nonce{1}
				}
				again.add(f, nonce)
			}
			s.addDoubts(again.apply(s))
			if !slices.Equal(once, s.doubts) {
				t.Fatalf("facts that come again are in doubt: %v, before %v", s.doubts, once)
			}
			if again, err := decodeSnapshotObject(got); err != nil || !bytes.Equal(again.encode(), got) {
				t.Fatalf("the snapshot is not the same again: %v", err)
			}
		}
	}
}

// A stream whose facts contradict the state is noticed, also where the offsets are the same.
func TestContradictionInTheStream(t *testing.T) {
	for name, records := range map[string]int64{"the same offsets": 1, "others": 2} {
		s := NewState(1, "")
		if err := s.Apply(commitFact(1, segments.ID{'a'}, 0, 1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(commitFact(1, segments.ID{'a'}, 0, 1)); err != nil {
			t.Errorf("%s: the same fact again: %v", name, err)
		}
		if err := s.Apply(commitFact(1, segments.ID{'b'}, 0, records)); !errors.Is(err, errContradiction) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An audit names the segments that are in doubt, and does not take them for garbage.
func TestAuditOfContradictions(t *testing.T) {
	b := newOpenedTwice(t, Nonce{1}, Nonce{2})
	topic := &Fact{Incarnation: 1, Topic: &TopicFact{ID: simTopic, Name: "a", Version: 1, Partitions: 1}}
	b.must(b.chain.put(t.Context(), b.chain.object([][]byte{AppendFact(nil, topic)})))
	b.journal(b.chain, 'a', 1)
	b.journal(b.other, 'b', 1)
	for _, id := range []segments.ID{{'a', 0}, {'b', 0}} {
		b.must(b.store.Put(t.Context(), id.Key(), []byte("x")))
	}
	report, err := Audit(t.Context(), b.store, AuditOptions{CommitDeadline: time.Nanosecond, Grace: time.Nanosecond})
	b.must(err)
	referenced, inDoubt := report.Tallies[Referenced].Objects, report.Tallies[InDoubt].Objects
	if inDoubt != 1 || len(report.Doubts) != 1 || len(report.Leaked) != 0 || referenced != 1 {
		t.Errorf("the audit found %+v", report)
	}
}
