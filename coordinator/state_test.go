package coordinator

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firn.dev/segments"
)

// history draws facts as a coordinator decides them: by asking one.
func history(t *rapid.T) []*Fact {
	e := NewEmbedded(EmbeddedOptions{Clock: func() time.Time { return time.UnixMilli(1e12) }})
	if err := e.Open(t.Context(), NewState(7, "cluster")); err != nil {
		t.Fatal(err)
	}
	topics := []segments.TopicID{{1}, {2}, {3}}
	lease, err := e.Acquire(t.Context(), 7, "groups", "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	shown := NewState(7, "cluster") // what is confirmed: by that merges are planned
	for i := range rapid.IntRange(0, 40).Draw(t, "facts") {
		topic := rapid.SampledFrom(topics).Draw(t, "topic")
		change := Change{ID: segments.ID{1, byte(i)}}
		switch rapid.SampledFrom([]int{0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 8, 9, 10, 11, 11, 11, 12, 12}).Draw(t, "kind") {
		case 0, 1:
			change.CreateTopic = &CreateTopic{ID: topic, Name: fmt.Sprint("t", topic[0]%2), Partitions: 2}
		case 2:
			change.DeleteTopic = &topic
		case 3:
			value := fmt.Sprint(i)
			change.Configure = &Configure{Topic: topic, Set: map[string]*string{"retention.ms": &value}}
		case 4:
			change.Grow = &Grow{Topic: topic, Partitions: rapid.Int32Range(1, 5).Draw(t, "partitions")}
		case 5:
			at := segments.Partition{Topic: topic, Index: rapid.Int32Range(0, 2).Draw(t, "index")}
			change.LogStart = &LogStart{Offsets: map[segments.Partition]int64{at: rapid.Int64Range(0, 12).Draw(t, "start")}}
		case 6:
			change.ProducerIDs = 1000
		case 7:
			change.Offsets = drawOffsets(t, topics, lease)
		case 12:
			key := Setting{Kind: ACLSetting, Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")}
			if key.Deleted = rapid.Bool().Draw(t, "deleted"); !key.Deleted {
				key.Value = fmt.Sprint(i)
			}
			change.Settings = []Setting{key, {Kind: QuotaSetting, Key: "q", Value: fmt.Sprint(i)}}
		case 11:
			if change.Merge = drawMerge(t, shown, lease, topic); change.Merge == nil {
				continue
			}
		default:
			if entry, confirmed := commit(t, e, topics, i); confirmed {
				apply(t, shown, entry.Fact)
			}
			continue
		}
		if entry, err := e.Propose(t.Context(), 7, change); err == nil {
			confirm(t, e, entry)
			apply(t, shown, entry.Fact)
		}
	}
	var facts []*Fact
	decided, err := followed(e, 7, 0, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range decided {
		if entry.Fact != nil {
			facts = append(facts, entry.Fact)
		}
	}
	return facts
}

// drawMerge plans a merge of neighbours, of which some survive, in one span or in several.
func drawMerge(t *rapid.T, shown *State, lease Lease, topic segments.TopicID) *ProposeMerge {
	at := segments.Partition{Topic: topic, Index: rapid.Int32Range(0, 1).Draw(t, "index")}
	p := shown.partitions[at]
	if p == nil || len(p.spans) == 0 {
		return nil
	}
	from := rapid.IntRange(0, len(p.spans)-1).Draw(t, "from")
	merged := p.spans[from : rapid.IntRange(from, len(p.spans)-1).Draw(t, "to")+1]
	c := &ProposeMerge{
		Lease: lease.Name, Epoch: lease.Epoch, After: p.merges, Segment: segments.NewID(time.UnixMilli(1e12)),
		Merge: Merge{Partition: at, Base: merged[0].Base, Last: merged[len(merged)-1].Last},
	}
	if from == 0 {
		c.Merge.Base = 0 // what compaction left empty before belongs to it
	}
	for next, position := c.Merge.Base, int64(32); next <= c.Merge.Last; {
		s := Span{Segment: c.Segment, Position: position, Length: 70}
		s.Base = rapid.Int64Range(next, c.Merge.Last).Draw(t, "base")
		s.MaxTimestamp = rapid.Int64Range(0, 9).Draw(t, "time")
		s.Last = rapid.Int64Range(s.Base, c.Merge.Last).Draw(t, "last")
		if rapid.IntRange(0, 2).Draw(t, "survives") > 0 {
			c.Merge.Spans = append(c.Merge.Spans, s)
		}
		next, position = s.Last+1, position+70
	}
	return c
}

func apply(t *rapid.T, s *State, f *Fact) {
	if err := s.Apply(f); err != nil {
		t.Fatal(err)
	}
}

func drawOffsets(t *rapid.T, topics []segments.TopicID, lease Lease) *CommitOffsets {
	c := &CommitOffsets{Lease: lease.Name, Epoch: lease.Epoch}
	c.Group = rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group")
	c.Forget = rapid.IntRange(0, 4).Draw(t, "forget") == 0
	for _, topic := range topics {
		if rapid.Bool().Draw(t, "topic") {
			at := segments.Partition{Topic: topic, Index: rapid.Int32Range(0, 1).Draw(t, "index")}
			c.Offsets = append(c.Offsets, drawOffset(t, at))
		}
	}
	return c
}

func drawOffset(t *rapid.T, at segments.Partition) GroupOffset {
	if rapid.IntRange(0, 9).Draw(t, "delete") == 0 {
		return DeletedOffset(at)
	}
	return GroupOffset{Partition: at, Offset: rapid.Int64Range(-2, 9).Draw(t, "offset"), LeaderEpoch: -1, Metadata: "m"}
}

func confirm(t *rapid.T, e Embedded, entry Entry) {
	if err := e.Confirm(t.Context(), 7, []uint64{entry.Seq}); err != nil {
		t.Fatal(err)
	}
}

func commit(t *rapid.T, e Embedded, topics []segments.TopicID, i int) (entry Entry, confirmed bool) {
	req := CommitRequest{Segment: segments.NewID(time.UnixMilli(1e12))}
	for range rapid.IntRange(1, 4).Draw(t, "runs") {
		run := CommitRun{Partition: segments.Partition{Topic: rapid.SampledFrom(topics).Draw(t, "topic"),
			Index: rapid.Int32Range(0, 2).Draw(t, "index")}, Position: int64(len(req.Runs)) * 1000}
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			if rapid.IntRange(0, 2).Draw(t, "keyed") == 0 {
				run.Batches = append(run.Batches, CommitBatch{Length: 70, Records: 1, ProducerID: -1, Key: &RequestKey{
					ID: [16]byte{rapid.Byte().Draw(t, "request") % 8}, Body: [16]byte{rapid.Byte().Draw(t, "body") % 2}}})
				continue
			}
			run.Batches = append(run.Batches, CommitBatch{Length: 70, Records: rapid.Int32Range(1, 3).Draw(t, "records"),
				MaxTimestamp: rapid.Int64Range(0, 9).Draw(t, "time"), ProducerID: rapid.Int64Range(-1, 2).Draw(t, "producer"),
				ProducerEpoch: rapid.Int16Range(0, 1).Draw(t, "epoch"), BaseSequence: rapid.Int32Range(0, 6).Draw(t, "sequence")})
		}
		req.Runs = append(req.Runs, run)
	}
	answer, err := e.Commit(t.Context(), 7, req)
	if err != nil {
		t.Fatal(err)
	}
	if confirmed = rapid.Bool().Draw(t, "confirmed") && answer.Entry.Seq != 0; confirmed {
		confirm(t, e, answer.Entry)
	}
	return answer.Entry, confirmed
}

func sum(t *rapid.T, facts []*Fact) *State {
	s := NewState(7, "cluster")
	for _, f := range facts {
		if err := s.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func encoded(s *State) []byte {
	o := snapshotObject{incarnation: s.incarnation, state: s}
	return o.encode()
}

// wantIndex checks what is kept beside the spans of a state, so that lookups need not look
// at all of them.
func wantIndex(t *rapid.T, s *State) {
	for at, p := range s.partitions {
		bytes, newest, next := int64(0), int64(math.MinInt64), int64(0)
		for _, span := range p.spans {
			bytes, newest = bytes+span.Length, max(newest, span.MaxTimestamp)
			if span.runningMax != newest || span.Base < next || span.Last < p.logStart {
				t.Fatalf("partition %s, log start %d: span %+v comes behind offset %d, largest timestamp up to it is %d",
					at, p.logStart, span, next, newest)
			}
			next = span.Last + 1
		}
		if bytes != p.bytes || next > p.end {
			t.Fatalf("partition %s has %d bytes up to %d, spans have %d up to %d", at, p.bytes, p.end, bytes, next)
		}
	}
}

// Facts may come in any order, any number of times, through snapshots, and with facts of
// other incarnations among them.
func TestFactsCommute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { commute(t, history(t)) })
}

// commute checks that the order of facts does not show.
func commute(t *rapid.T, facts []*Fact) {
	want := encoded(sum(t, facts))
	again := slices.Concat(facts, facts[:rapid.IntRange(0, len(facts)).Draw(t, "repeated")])
	again = rapid.Permutation(again).Draw(t, "order")
	for i, f := range facts {
		if i%3 == 0 {
			other := *f
			other.Incarnation++
			again = append(again, &other)
		}
	}
	cut := rapid.IntRange(0, len(again)).Draw(t, "snapshot")
	half, err := decodeSnapshotObject(encoded(sum(t, again[:cut])))
	if err != nil {
		t.Fatal(err)
	}
	clone := half.state.clone(false)
	for _, f := range again[cut:] {
		if err := half.state.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(encoded(half.state), want) {
		t.Fatal("another order gives another state")
	}
	wantIndex(t, half.state)
	for _, f := range again[cut:] {
		if err := clone.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(encoded(clone), want) {
		t.Fatal("a clone that goes on gives another state")
	}
}

// A recovery makes of any subset of the facts what the facts before the first hole
// say, producers included.
func TestTruncationForgetsProducers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := history(t)
		survived := slices.DeleteFunc(slices.Clone(facts), func(f *Fact) bool {
			return f.Commit != nil && rapid.IntRange(0, 4).Draw(t, "lost") == 0
		})
		s := sum(t, survived)
		s.truncate()
		// The same, with spans beyond holes left out from the start.
		clean := NewState(7, "cluster")
		for _, f := range survived {
			only := *f
			if f.Commit != nil {
				commit := *f.Commit
				commit.Spans = slices.DeleteFunc(slices.Clone(commit.Spans), func(c CommitSpan) bool {
					p := s.partitions[c.Partition]
					return p == nil || c.Span.Base >= p.end
				})
				only.Commit = &commit
			}
			if err := clean.Apply(&only); err != nil {
				t.Fatal(err)
			}
		}
		if spans := clean.truncate(); spans > 0 { // merges over what was lost wait there as well
			t.Fatalf("%d spans lie beyond a hole that was not there", spans)
		}
		if !bytes.Equal(encoded(s), encoded(clean)) {
			t.Fatal("something beyond a hole left traces")
		}
	})
}

func TestApplyRefusesContradictions(t *testing.T) {
	at := segments.Partition{Topic: segments.TopicID{1}}
	span := func(base, last int64) *Fact {
		spans := []CommitSpan{{Partition: at, Span: Span{Base: base, Last: last}}}
		return &Fact{Incarnation: 7, Commit: &Commit{Spans: spans}}
	}
	for name, facts := range map[string][]*Fact{
		"over the end":       {span(0, 4), span(3, 6)},
		"over a waiting one": {span(3, 6), span(0, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewState(7, "")
			if err := s.Apply(facts[0]); err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(facts[1]); err == nil {
				t.Error("overlapping spans were taken")
			}
		})
	}
}
