package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"firn.dev/test/linear"
	"firn.dev/test/torture/history"
)

// trace keeps what clients did, with times, so that somebody else's judge can look at it: see
// package linear.
type trace struct {
	began time.Time

	mu    sync.Mutex
	parts map[int32]*traced
}

// traced is what was done to one partition.
type traced struct {
	appends map[identity]*appended
	reads   []*readRun
	newest  map[int]*readRun // of each reader
}

// identity is a record, as its producer numbered it.
type identity struct {
	producer int32
	number   int64
}

func (i identity) String() string { return fmt.Sprintf("%d/%d", i.producer, i.number) }

// appended is a record that was sent: when, and when and where it was acknowledged, if it was.
type appended struct {
	sent, acknowledged time.Duration // since the beginning; not acknowledged: 0
	offset             int64
}

// readRun is records without a gap that one reader was given at once.
type readRun struct {
	reader  int
	at      time.Duration
	offset  int64
	records []identity
}

// newTrace returns nil if producers may write a record twice: then there is nothing to judge.
func newTrace(plain bool) *trace {
	if plain {
		return nil
	}
	return &trace{began: time.Now(), parts: map[int32]*traced{}}
}

func (t *trace) part(partition int32) *traced {
	p := t.parts[partition]
	if p == nil {
		p = &traced{appends: map[identity]*appended{}, newest: map[int]*readRun{}}
		t.parts[partition] = p
	}
	return p
}

func (t *trace) sent(partition int32, r history.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part(partition).appends[identity{r.Producer, r.Number}] = &appended{sent: time.Since(t.began)}
}

func (t *trace) acknowledged(partition int32, r history.Record, offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.part(partition).appends[identity{r.Producer, r.Number}]
	a.acknowledged, a.offset = time.Since(t.began), offset
}

// read says that a reader was given a record. The log only grows, so a read that was right is right
// at any later moment: only that it was not too early matters, and for that the time at which it
// became known will do.
func (t *trace) read(reader int, partition int32, offset int64, r history.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, now, id := t.part(partition), time.Since(t.began), identity{r.Producer, r.Number}
	if last := p.newest[reader]; last != nil && last.offset+int64(len(last.records)) == offset &&
		len(last.records) < longestRead &&
		now-last.at < readGap {
		last.records, last.at = append(last.records, id), now
		return
	}
	run := &readRun{reader, now, offset, []identity{id}}
	p.reads, p.newest[reader] = append(p.reads, run), run
}

const (
	longestRead   = 100              // of a readRun
	readGap       = time.Millisecond // between records that a reader is given at once
	windowOffsets = 1000             // of one check, each half of which is also half of another
	judgePatience = 90 * time.Second // for all checks of a history; what is left then is undecided
)

// Linear is what came of looking at a history with porcupine, window by window.
type Linear struct {
	Windows   int // that could be the history of a list of records
	Undecided int // for which time was too short
	Wrong     []string
}

func (l Linear) String() string {
	return fmt.Sprintf("%-28s %d windows of %d offsets are linearizable, %d undecided, %d wrong\n", "porcupine", l.Windows,
		windowOffsets, l.Undecided, len(l.Wrong))
}

// Err says what is wrong, or nil.
func (l Linear) Err() error {
	if len(l.Wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d windows are not linearizable: %s", len(l.Wrong),
		strings.Join(l.Wrong[:min(3, len(l.Wrong))], "\n"))
}

// judge has each partition's history looked at, in windows of offsets that overlap.
func (t *trace) judge(ctx context.Context) Linear {
	if t == nil {
		return Linear{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, judgePatience)
	defer cancel()
	var mu sync.Mutex
	var result Linear
	var group errgroup.Group
	group.SetLimit(2)
	for partition, p := range t.parts {
		for from, ops := range p.windows() {
			group.Go(func() error {
				ok, explanation := false, "not decided"
				if ctx.Err() == nil {
					ok, explanation = linear.Check(ops)
				}
				mu.Lock()
				defer mu.Unlock()
				switch {
				case ok:
					result.Windows++
				case strings.HasPrefix(explanation, "not decided"):
					result.Undecided++
				default:
					result.Wrong = append(result.Wrong, fmt.Sprintf("partition %d, from offset %d: %s", partition, from, explanation))
				}
				return nil
			})
		}
	}
	group.Wait()
	return result
}

// windows are the operations of a partition by windows of offsets, each as if the partition began
// there.
func (p *traced) windows() map[int64][]linear.Operation {
	all := map[int64][]linear.Operation{}
	const step = windowOffsets / 2
	add := func(offset, end int64, make func(from int64) linear.Operation) {
		for from := max(0, (offset/step-1)*step); from < end; from += step {
			all[from] = append(all[from], make(from))
		}
	}
	places := p.places()
	for id, a := range p.appends {
		op := linear.Operation{Client: int(id.producer), Call: int64(a.sent), Return: int64(a.acknowledged),
			Input: linear.Input{Append: []string{id.String()}}}
		offset := a.offset
		if a.acknowledged > 0 {
			op.Output.Outcome = linear.Acknowledged
		} else if seen, found := places[id]; found {
			offset = seen
		} else {
			continue // nobody has seen it
		}
		add(offset, offset+1, func(from int64) linear.Operation {
			op.Output.Offset = offset - from
			return op
		})
	}
	for _, r := range p.reads {
		end := r.offset + int64(len(r.records))
		add(r.offset, end, func(from int64) linear.Operation {
			first, last := max(r.offset, from), min(end, from+windowOffsets)
			op := linear.Operation{Client: -1 - r.reader, Call: int64(r.at), Return: int64(r.at),
				Input: linear.Input{Offset: first - from}}
			for _, id := range r.records[first-r.offset : max(first, last)-r.offset] {
				op.Output.Records = append(op.Output.Records, id.String())
			}
			return op
		})
	}
	for from, ops := range all {
		slices.SortFunc(ops, func(a, b linear.Operation) int { return cmp.Compare(a.Call, b.Call) })
		all[from] = ops
	}
	return all
}

// places are where records were first seen.
func (p *traced) places() map[identity]int64 {
	found := map[identity]int64{}
	for _, r := range p.reads {
		for i, id := range r.records {
			if _, again := found[id]; !again {
				found[id] = r.offset + int64(i)
			}
		}
	}
	return found
}
