package coordinator

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// archivedPartition is a node on a bucket with one partition of so many merged spans of ten
// records, and a lease to archive them under.
func archivedPartition(t *testing.T, store segments.Store, spans int) (*Node, Lease) {
	t.Helper()
	deadline := time.Minute
	n, err := Join(t.Context(), NodeOptions{
		Store:          store,
		Coordinator:    NewEmbedded(EmbeddedOptions{CommitDeadline: deadline}),
		CommitDeadline: deadline,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Error(err)
		}
	})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = n.Change(t.Context(), Change{CreateTopic: &CreateTopic{ID: mergeAt.Topic, Name: "a", Partitions: 1}})
	check(err)
	life, err := n.Life(t.Context())
	check(err)
	put := func(age time.Duration) segments.ID {
		id := segments.NewID(time.Now().Add(-age))
		check(store.Put(t.Context(), id.Key(), []byte("x")))
		return id
	}
	lease, err := life.Acquire(t.Context(), "merges", time.Hour)
	check(err)
	for i := range spans {
		mixed, merged := put(50*time.Second), put(time.Second)
		newest := int64(100 + i)
		batch := CommitBatch{Length: 100, Records: 10, ProducerID: -1, MaxTimestamp: newest}
		answer, err := life.Commit(t.Context(), oneBatch(mixed, mergeAt, batch))
		check(err)
		check(life.Settle(t.Context(), answer.Entry))
		check(n.CatchUp(t.Context()))
		base := int64(10 * i)
		span := Span{Segment: merged, Base: base, Last: base + 9, Position: 32, Length: 90, MaxTimestamp: newest}
		_, err = n.Change(t.Context(), Change{Merge: &ProposeMerge{
			Lease: lease.Name, Epoch: lease.Epoch, After: uint64(i), Segment: merged,
			Merge: Merge{Partition: mergeAt, Base: base, Last: base + 9, Spans: []Span{span}},
		}})
		check(err)
	}
	return n, lease
}

// Archived spans leave memory, stay readable through their index object, are not taken for garbage
// or leaked, and are archived anew when the log start passes them.
func TestArchive(t *testing.T) {
	store := &dated{Store: memory.New()}
	n, lease := archivedPartition(t, store, 7)
	before := n.view.Spans(mergeAt, 0, 100)
	opts := ArchiveOptions{Batch: 2, Keep: 2}
	for try, want := range []bool{true, true, false} {
		if done, err := n.Archive(t.Context(), lease, mergeAt, opts); done != want || err != nil {
			t.Fatalf("archiving for the %d-th time: %v, %v", try+1, done, err)
		}
	}
	now := n.view.Spans(mergeAt, 0, 100)
	if len(now) != 5 || now[0].Listed != 2 || now[1].Listed != 2 || now[2] != before[4] {
		t.Fatalf("spans are %+v", now)
	}
	if s := now[1]; s.Base != 20 || s.Last != 39 || s.MaxTimestamp != 103 || s.Length != 180 {
		t.Fatalf("spans are %+v", now)
	}
	if p, _ := n.view.Partition(mergeAt); p.Bytes != 7*90 {
		t.Errorf("partition is %+v", p)
	}
	var expanded []Span
	for s, err := range Expand(t.Context(), store, mergeAt, now, 0) {
		if err != nil {
			t.Fatal(err)
		}
		expanded = append(expanded, s)
	}
	if !slices.Equal(expanded, before) {
		t.Errorf("expanded are %+v, were %+v", expanded, before)
	}

	store.newest.Store(IndexKey(now[1].Segment))
	store.ahead.Store(int64(100 * time.Hour))
	garbage := func(want ...string) {
		t.Helper()
		g, err := n.Unreferenced(t.Context(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, o := range g.Objects {
			merged := slices.ContainsFunc(before, func(s Span) bool { return s.Segment.Key() == o.Key })
			if merged || o.Key > indexPrefix && o.Key < indexPrefix+"~" {
				keys = append(keys, o.Key)
			}
		}
		slices.Sort(want)
		slices.Sort(keys)
		if !slices.Equal(keys, want) {
			t.Errorf("garbage is %q, should be %q", keys, want)
		}
		report, err := Audit(t.Context(), store, AuditOptions{CommitDeadline: time.Minute, Grace: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		const mixed = 7 // segments, whose spans were all merged
		wrong := report.Tallies[Missing].Objects + report.Tallies[Unknown].Objects
		if report.Tallies[Leaked].Objects != len(want)+mixed || wrong > 0 {
			t.Errorf("%d garbage, audit: %+v", len(want), report)
		}
	}
	garbage()
	raise := func(offset int64) {
		t.Helper()
		change := &LogStart{Offsets: map[segments.Partition]int64{mergeAt: offset}}
		if _, err := n.Change(t.Context(), Change{LogStart: change}); err != nil {
			t.Fatal(err)
		}
	}
	raise(15)
	garbage(before[0].Segment.Key())
	raise(20)
	garbage(before[0].Segment.Key(), before[1].Segment.Key(), IndexKey(now[0].Segment))

	// A missing index object: nothing is collected, and the audit says what is missing.
	if err := store.Delete(t.Context(), IndexKey(now[1].Segment)); err != nil {
		t.Fatal(err)
	}
	store.newest.Store(before[6].Segment.Key())
	if _, err := n.Unreferenced(t.Context(), time.Minute); err == nil {
		t.Error("garbage is collected although an index object is missing")
	}
	report, err := Audit(t.Context(), store, AuditOptions{CommitDeadline: time.Minute, Grace: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	missing := len(report.Missing) == 1 && report.Missing[0].Key == IndexKey(now[1].Segment)
	if !missing || report.Tallies[Leaked].Objects > 0 {
		t.Errorf("audit: %+v", report)
	}
}

// What is not merged, was compacted, or is among the newest is not archived.
func TestArchivable(t *testing.T) {
	for kinds, want := range map[string]string{
		"MMMM": "0-19", "MMM": "", "LMMMM": "10-29", "LLMMMMM": "20-39", "MMM.": "", ".MMMM": "",
		"MM.MMM": "", "MMMMM...": "0-19", "MMMMMC": "", "": "", "L": "",
	} {
		spans := make([]placed, len(kinds))
		for i, kind := range kinds {
			s := Span{Base: int64(10 * i), Last: int64(10*i + 9), Length: 1, Version: 1}
			switch kind {
			case 'L':
				s.Listed = 3
			case 'C':
				s.Compacted = true
			case '.':
				s.Version = 0
			}
			spans[i] = placed{s, 0}
		}
		state := filled(t, time.Hour)
		state.partitions[mergeAt] = &partition{spans: spans, end: int64(10 * len(kinds)), merges: 5}
		found, after := NewView(state).archivable(mergeAt, ArchiveOptions{Batch: 2, Keep: 2})
		got := ""
		if len(found) > 0 {
			got = fmt.Sprintf("%d-%d", found[0].Base, found[len(found)-1].Last)
		}
		if got != want || want != "" && after != 5 {
			t.Errorf("%q: %q after %d, should be %q", kinds, got, after, want)
		}
	}
}

func sampleIndex() *indexObject {
	return &indexObject{segments.Partition{Topic: segments.TopicID{0x40, 1, 2}, Index: 6}, []Span{
		{
			Segment: segments.ID{1, 0x93, 0xb0, 9, 14}, Base: 7, Last: 200, Position: 32, Length: 9000,
			MaxTimestamp: 1_700_000_000_123, Version: 2,
		},
		{
			Segment: segments.ID{1, 0x93, 0xb0, 9, 15}, Base: 201, Last: 1 << 40, Position: 1 << 33, Length: 1 << 28,
			MaxTimestamp: -1, Version: 77,
		},
	}}
}

// An index object that does not add up to the span that stands for it is refused.
func TestReadIndex(t *testing.T) {
	o := sampleIndex()
	span := o.listedAs(segments.NewID(time.Now()))
	span.Version = 9
	store := memory.New()
	if err := store.Put(t.Context(), IndexKey(span.Segment), o.encode()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Span)
		want   error
	}{
		"as it is":  {func(*Span) {}, nil},
		"count":     {func(s *Span) { s.Listed++ }, ErrMalformed},
		"base":      {func(s *Span) { s.Base-- }, ErrMalformed},
		"last":      {func(s *Span) { s.Last++ }, ErrMalformed},
		"length":    {func(s *Span) { s.Length++ }, ErrMalformed},
		"timestamp": {func(s *Span) { s.MaxTimestamp++ }, ErrMalformed},
		"gone":      {func(s *Span) { s.Segment = segments.NewID(time.Now()) }, segments.ErrNotFound},
	} {
		changed := span
		test.change(&changed)
		spans, err := ReadIndex(t.Context(), store, o.partition, &changed)
		if !errors.Is(err, test.want) || err == nil && !slices.Equal(spans, o.spans) {
			t.Errorf("%s: %+v, %v", name, spans, err)
		}
	}
	if _, err := ReadIndex(t.Context(), store, mergeAt, &span); !errors.Is(err, ErrMalformed) {
		t.Errorf("of another partition: %v", err)
	}
}

// FuzzIndexObject: decoding never panics; what decodes has ascending spans of merges, with bytes,
// and encodes and decodes to the same again.
func FuzzIndexObject(f *testing.F) {
	b := sampleIndex().encode()
	f.Add(b[:len(b)-crcLen])
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeIndexObject(appendCRC(bytes.Clone(b)))
		if err != nil {
			return
		}
		next := int64(0)
		for _, s := range o.spans {
			if s.Base < next || s.Last < s.Base || s.Version == 0 || s.Length < 1 || s.hasKind() {
				t.Fatalf("span %+v behind %d", s, next)
			}
			next = s.Last + 1
		}
		again, err := decodeIndexObject(o.encode())
		same := again != nil && again.partition == o.partition && slices.Equal(again.spans, o.spans)
		if err != nil || !same || o.listedAs(segments.ID{}).Length < 1 {
			t.Fatalf("%+v becomes %+v, %v", o, again, err)
		}
	})
}
