package coordinator

import (
	"testing"
	"time"

	"firn.dev/segments"
)

// feeder feeds a view as the coordinator does.
type feeder struct {
	t    *testing.T
	view *View
	seq  uint64
}

func newFeeder(t *testing.T) *feeder {
	s := NewState(1, "cluster")
	s.applyTopic(&TopicFact{ID: simTopic, Name: "topic", Version: 1, Partitions: 2})
	return &feeder{t: t, view: NewView(s)}
}

func (f *feeder) entry(e Entry) uint64 {
	f.t.Helper()
	f.seq++
	e.Seq = f.seq
	if err := f.view.follow(e, time.Now()); err != nil {
		f.t.Fatal(err)
	}
	return f.seq
}

func (f *feeder) decide(fact Fact) uint64 {
	fact.Incarnation = 1
	return f.entry(Entry{Fact: &fact})
}

func (f *feeder) confirm(seqs ...uint64) { f.entry(Entry{Confirmed: seqs}) }

func commitOf(base, last, newest int64) Fact {
	span := Span{Base: base, Last: last, Length: 10, MaxTimestamp: newest}
	return Fact{Commit: &Commit{Spans: []CommitSpan{{Partition: simPartition(0), Span: span}}}}
}

func TestViewShowsTheConfirmedPrefix(t *testing.T) {
	f, at := newFeeder(t), simPartition(0)
	first, second := f.decide(commitOf(0, 4, 50)), f.decide(commitOf(5, 9, 20))
	f.confirm(second)
	if got, _ := f.view.Partition(at); got != (PartitionInfo{}) {
		t.Errorf("shows %+v before the first commit is confirmed", got)
	}
	if got := f.view.Spans(at, 0, 10); len(got) != 0 {
		t.Errorf("shows spans %+v", got)
	}
	f.confirm(first)
	if got, _ := f.view.Partition(at); got != (PartitionInfo{0, 10, 10, 20}) {
		t.Errorf("shows %+v", got)
	}
	f.confirm(f.decide(commitOf(10, 19, 50)), f.decide(commitOf(20, 29, 70)))

	for offset, want := range map[int64]int64{0: 0, 4: 0, 5: 5, 9: 5, 29: 20} {
		if got := f.view.Spans(at, offset, 1); len(got) != 1 || got[0].Base != want {
			t.Errorf("spans from %d on: %+v, want the one at %d", offset, got, want)
		}
	}
	if got := f.view.Spans(at, 30, 1); len(got) != 0 {
		t.Errorf("spans behind the end: %+v", got)
	}
	byTime := func(want map[int64]int64) {
		t.Helper()
		for timestamp, base := range want {
			if got, ok := f.view.SpanByTime(at, timestamp); ok != (base >= 0) || ok && got.Base != base {
				t.Errorf("span of time %d: %+v, %v, want the one at %d", timestamp, got, ok, base)
			}
		}
	}
	byTime(map[int64]int64{0: 0, 50: 0, 51: 20, 70: 20, 71: -1})
	f.confirm(f.decide(Fact{LogStart: &LogStart{Offsets: map[segments.Partition]int64{at: 7}}}))
	byTime(map[int64]int64{0: 5, 20: 5, 21: 10, 51: 20})
	if got, _ := f.view.Partition(at); got != (PartitionInfo{7, 30, 30, 30}) {
		t.Errorf("after the log start moved: %+v", got)
	}
	if got, _ := f.view.SpanOfMaxTimestamp(at); got.Base != 20 {
		t.Errorf("span of the largest timestamp: %+v", got)
	}
}

func TestWatch(t *testing.T) {
	f := newFeeder(t)
	mine, other, topics := f.view.Watch(simPartition(0)), f.view.Watch(simPartition(1)), f.view.Watch()
	told := func(what string, want ...bool) {
		t.Helper()
		for i, w := range []*Watch{mine, other, topics} {
			select {
			case <-w.C:
				if !want[i] {
					t.Errorf("%s: watch %d was told", what, i)
				}
			default:
				if want[i] {
					t.Errorf("%s: watch %d was not told", what, i)
				}
			}
		}
	}
	seq := f.decide(commitOf(0, 4, 0))
	told("pending commit", false, false, false)
	f.confirm(seq)
	told("confirmed commit", true, false, false)
	f.confirm(f.decide(commitOf(5, 6, 0)), f.decide(commitOf(7, 7, 0)))
	told("two commits", true, false, false)
	f.confirm(f.decide(Fact{Topic: &TopicFact{ID: segments.TopicID{5}, Name: "new", Version: 1, Partitions: 1}}))
	told("topic", true, true, true)
	mine.Close()
	other.Close()
	topics.Close()
	f.confirm(f.decide(commitOf(8, 8, 0)))
	told("closed", false, false, false)
	if len(f.view.watches)+len(f.view.all) != 0 {
		t.Error("watches are left")
	}
}

// A new incarnation's state takes the old one's place, but not if it lacks what was served.
func TestViewNeverMovesBack(t *testing.T) {
	f := newFeeder(t)
	f.confirm(f.decide(commitOf(0, 4, 0)))
	f.decide(commitOf(5, 9, 0)) // dropped with its incarnation
	lacking := NewState(2, "cluster")
	if err := f.view.replace(lacking, 0); err == nil {
		t.Error("a state without served records was taken")
	}
	next := f.view.state.clone(false)
	next.incarnation = 2
	if err := f.view.replace(next, 0); err != nil {
		t.Error(err)
	}
	if stalled, _, _ := f.view.stalled(0, time.Now().Add(time.Hour)); len(stalled) != 0 {
		t.Errorf("commits of the old incarnation are still pending: %+v", stalled)
	}
}
