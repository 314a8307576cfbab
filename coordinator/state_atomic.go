package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"firn.dev/segments"
)

// Atomic requests: a batch for each of some partitions and offsets of a group, all or nothing.
// Their facts are decided when they are in the journal. docs/internals/transactions.md has the
// rules.

// atomicKey names an atomic request.
type atomicKey struct {
	segment segments.ID
	number  uint32
}

// incompleteAtomic is offsets that do not count yet, and the offsets of records that they wait for.
type incompleteAtomic struct {
	AtomicOffsets
	awaited map[segments.Partition]int64
}

// applyAtomic takes in what the atomic requests of a commit let count, whose spans are.
func (s *State) applyAtomic(c *Commit) {
	for i := range c.Atomic {
		a := &c.Atomic[i]
		s.offsetsVersion = max(s.offsetsVersion, a.version())
		awaited := map[segments.Partition]int64{}
		for j := range c.Spans {
			if c.Spans[j].Atomic == a.Number {
				awaited[c.Spans[j].Partition] = c.Spans[j].Span.Last
			}
		}
		s.atomic[atomicKey{c.Segment, a.Number}] = incompleteAtomic{*a, awaited}
	}
}

func cloneAtomic(of map[atomicKey]incompleteAtomic) map[atomicKey]incompleteAtomic {
	c := make(map[atomicKey]incompleteAtomic, len(of))
	for key, a := range of {
		c[key] = incompleteAtomic{a.AtomicOffsets, maps.Clone(a.awaited)}
	}
	return c
}

// version is the highest version of its offsets.
func (a *AtomicOffsets) version() (v uint64) {
	for i := range a.Partitions {
		v = max(v, a.Partitions[i].Version)
	}
	return v
}

func (s *State) completeAtomic(all bool) {
	for key, a := range s.atomic {
		if s.reach(a.awaited); len(a.awaited) == 0 || all {
			delete(s.atomic, key)
			s.count(&a.StagedOffsets, a.Time)
		}
	}
}

// placeAtomic gives a span of an atomic request, which a recovery has dropped, the next offsets.
func (p *partition) placeAtomic(dropped *beyondGap) {
	c := *dropped.commitSpan()
	behind := p.end - c.Span.Base
	c.Span.Base, c.Span.Last = c.Span.Base+behind, c.Span.Last+behind
	c.Keyed = slices.Clone(c.Keyed)
	for i := range c.Keyed {
		c.Keyed[i].BaseOffset += behind
	}
	p.join(&c, true)
}

// judgeAtomic looks at each atomic request as a whole, before anything of it is written.
func (d *decision) judgeAtomic() {
	if len(d.req.Atomic) == 0 {
		return
	}
	d.refused = make([]error, len(d.req.Atomic))
	brought := make([]int, len(d.req.Atomic))
	for i := range d.req.Runs {
		run := &d.req.Runs[i]
		position := run.Position
		for j := range run.Batches {
			b := &run.Batches[j]
			if b.Atomic > 0 && d.known.answer(position) == nil {
				brought[b.Atomic-1]++
				if d.unwritten(d.partition(run.Partition), b).Err != nil {
					d.refused[b.Atomic-1] = ErrNotWhole
				}
			}
			position += int64(b.Length)
		}
	}
	for i := range d.req.Atomic {
		a := &d.req.Atomic[i]
		if d.refused[i] == nil && brought[i] != a.Batches {
			d.refused[i] = ErrNotWhole
		}
		if o := a.Offsets; d.refused[i] == nil && o != nil {
			if d.refused[i] = d.holds(o.Lease, o.Epoch); d.refused[i] == nil {
				d.atomic = append(d.atomic, AtomicOffsets{uint32(i + 1), d.now, o.staged()})
				d.state.offsetsVersion = max(d.state.offsetsVersion, o.Version)
			}
		}
	}
}

// unwritten says whether a batch of an atomic request could be written.
func (d *decision) unwritten(p *partition, b *CommitBatch) BatchAnswer {
	if p == nil {
		return BatchAnswer{BaseOffset: -1, Err: ErrUnknownPartition}
	}
	original, err := p.admitKey(b.Key, d.now)
	if err != nil && !errors.Is(err, ErrDuplicate) {
		original = -1
	}
	return BatchAnswer{BaseOffset: original, Err: err}
}

// write gives a batch of an atomic request the next offset, if the request is accepted.
func (d *decision) write(run *CommitRun, b *CommitBatch, p *partition, position int64) BatchAnswer {
	if refused := d.refused[b.Atomic-1]; refused != nil {
		a := d.unwritten(p, b)
		if a.Err == nil {
			a = BatchAnswer{BaseOffset: -1, Err: refused}
		}
		return a
	}
	base := p.end
	d.spans = append(d.spans, CommitSpan{Partition: run.Partition, Atomic: uint32(b.Atomic),
		Keyed: []Keyed{{*b.Key, run.Partition, base, b.Records, d.now}},
		Span: Span{Segment: d.req.Segment, Base: base, Last: base + int64(b.Records) - 1, Position: position,
			Length: int64(b.Length), MaxTimestamp: b.MaxTimestamp}})
	_ = d.state.applySpan(&d.spans[len(d.spans)-1]) // continues the prefix, so it cannot fail
	return BatchAnswer{BaseOffset: base}
}

// atomicVersion is of commits with atomic requests.
const atomicVersion = 4

func (c *Commit) hasAtomic() bool {
	return slices.ContainsFunc(c.Spans, func(s CommitSpan) bool { return s.Atomic > 0 })
}

// hasAtomic says whether a snapshot of the state needs the part that version 9 added.
func (s *State) hasAtomic() bool {
	if len(s.atomic) > 0 {
		return true
	}
	for _, p := range s.partitions {
		if slices.ContainsFunc(p.beyond, func(b beyondGap) bool { return b.atomic > 0 }) {
			return true
		}
	}
	return false
}

func appendAtomicOffsets(b []byte, a *AtomicOffsets) []byte {
	b = binary.AppendVarint(binary.AppendUvarint(b, uint64(a.Number)), a.Time)
	return appendStaged(b, []StagedOffsets{a.StagedOffsets})
}

func (d *decoder) atomicOffsets() AtomicOffsets {
	a := AtomicOffsets{Number: d.uint32(), Time: d.varint()}
	staged := d.staged()
	if d.err == nil && (len(staged) != 1 || a.Number == 0) {
		d.fail("offsets of %d groups in atomic request %d", len(staged), a.Number)
	}
	if len(staged) > 0 {
		a.StagedOffsets = staged[0]
	}
	return a
}

func appendAtomic(b []byte, all []AtomicOffsets) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for i := range all {
		b = appendAtomicOffsets(b, &all[i])
	}
	return b
}

func (d *decoder) atomic() (all []AtomicOffsets) {
	for i, n := 0, d.count(6); i < n && d.err == nil; i++ {
		all = append(all, d.atomicOffsets())
	}
	return all
}

// DecodeAtomic reads what CommitOffsets.AppendAtomic wrote of an atomic request.
func DecodeAtomic(number uint32, millis int64, b []byte) (AtomicOffsets, error) {
	d := &decoder{rest: b}
	staged := d.staged()
	if err := d.end(); err != nil || len(staged) != 1 {
		return AtomicOffsets{}, fmt.Errorf("%w: offsets of an atomic request: %v", ErrMalformed, err)
	}
	return AtomicOffsets{number, millis, staged[0]}, nil
}

func (s *State) atomicKeys() []atomicKey {
	return slices.SortedFunc(maps.Keys(s.atomic), func(a, b atomicKey) int {
		return cmp.Or(bytes.Compare(a.segment[:], b.segment[:]), cmp.Compare(a.number, b.number))
	})
}

func appendIncompleteAtomic(b []byte, s *State) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.atomic)))
	for _, key := range s.atomicKeys() {
		a := s.atomic[key]
		b = appendAtomicOffsets(append(b, key.segment[:]...), &a.AtomicOffsets)
		b = binary.AppendUvarint(b, uint64(len(a.awaited)))
		for _, at := range sortedPartitions(a.awaited) {
			b = binary.AppendUvarint(appendPartition(b, at), uint64(a.awaited[at]))
		}
	}
	return b
}

func (d *decoder) incompleteAtomic(s *State) {
	for i, n := 0, d.count(16+7); i < n && d.err == nil; i++ {
		key := atomicKey{segment: d.id()}
		a := incompleteAtomic{d.atomicOffsets(), map[segments.Partition]int64{}}
		key.number = a.Number
		for j, n := 0, d.count(16+2); j < n && d.err == nil; j++ {
			at := d.partition()
			a.awaited[at] = d.int64()
		}
		s.atomic[key] = a
	}
}

// AwaitAtomic waits until this node's view shows the offsets of all atomic requests of some groups
// that it has seen decided. It returns ErrIncarnation if the life's incarnation ends before.
func (l *Life) AwaitAtomic(ctx context.Context, of func(group string) bool) error {
	v := l.node.view
	return l.check(v.waitChanged(ctx, l.incarnation, func() bool { return !v.hasAtomic(of) }))
}

// hasAtomic says whether offsets of an atomic request of some groups are decided that do not count
// yet.
func (v *View) hasAtomic(of func(group string) bool) bool {
	for _, a := range v.state.atomic {
		if of(a.Group) {
			return true
		}
	}
	for _, p := range v.pending {
		if c := p.entry.Fact.Commit; c != nil {
			for i := range c.Atomic {
				if of(c.Atomic[i].Group) {
					return true
				}
			}
		}
	}
	return false
}
