package coordinator

import (
	"context"
	"errors"
	"fmt"

	"firn.dev/segments"
)

// Survey is what a recovery would find, without making one.
type Survey struct {
	Newest   Incarnation // that was begun; a recovery takes the next
	Base     Incarnation // that a recovery would start from; 0 if none ever opened
	Snapshot uint64      // number of the base's newest snapshot
	Objects  int         // of the journal, on top of it
	Chains   int         // in the journal
	Open     int         // of these, not sealed: their lives may go on, and a recovery would end them
	Beyond   int         // spans beyond holes, which a recovery would drop
	Doubts   []Doubt     // what contradicts the rest, and would be left out
	Summary
}

// Summary counts what a state holds.
type Summary struct {
	Topics, Partitions, Spans int
	Merged                    int   // of the spans: made by merges
	Records, Bytes            int64 // that can be read
}

// Look surveys a bucket. It writes nothing. A cluster at work may have moved on a little by the
// time that it returns.
func Look(ctx context.Context, store segments.Store) (Survey, error) {
	l := loader{store, defaultParallel}
	return again(ctx, func() (Survey, error) {
		newest, err := newestIncarnation(ctx, store, 0)
		if err != nil {
			return Survey{}, err
		}
		base, err := l.newestOpened(ctx)
		if errors.Is(err, ErrEmptyBucket) {
			return Survey{Newest: newest}, nil
		}
		if err != nil {
			return Survey{}, err
		}
		snapshot, err := l.newestSnapshot(ctx, base)
		if err != nil {
			return Survey{}, err
		}
		chains, err := l.listChains(ctx, nil)
		if err != nil {
			return Survey{}, err
		}
		found, err := l.apply(ctx, snapshot, chains)
		if err != nil {
			return Survey{}, err
		}
		s := Survey{Newest: newest, Base: base, Snapshot: found.snapshot, Objects: found.objects, Chains: len(chains)}
		s.Doubts = found.state.Doubts()
		for _, c := range chains {
			if !found.covers[c.life].sealed {
				s.Open++
			}
		}
		s.Beyond = found.state.truncate()
		s.Summary = found.state.Summary()
		return s, nil
	})
}

// Summary counts what the state holds.
func (s *State) Summary() Summary {
	sum := Summary{Spans: s.spans()}
	for _, t := range s.topics {
		if !t.Deleted {
			sum.Topics++
			sum.Partitions += int(t.Partitions)
		}
	}
	for _, p := range s.partitions {
		sum.Records += max(0, p.end-p.logStart)
		sum.Bytes += p.bytes
		for i := range p.spans {
			if p.spans[i].Version > 0 {
				sum.Merged++
			}
		}
	}
	return sum
}

func (s Summary) String() string {
	text := fmt.Sprintf("%d topics, %d partitions, %d records in %d spans", s.Topics, s.Partitions, s.Records, s.Spans)
	if s.Merged > 0 {
		text += fmt.Sprintf(", %d of them merged", s.Merged)
	}
	return text
}
