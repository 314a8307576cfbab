package redis

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"firn.dev/coordinator"
)

// commitOffsets decides what a consumer group has committed.
func (p *proposal) commitOffsets(ctx context.Context, o *coordinator.CommitOffsets) (coordinator.Entry, error) {
	lost := fmt.Errorf("%w: %s, epoch %d", coordinator.ErrLeaseLost, o.Lease, o.Epoch)
	if o.Epoch>>32 != uint64(p.in) {
		return coordinator.Entry{}, lost
	}
	offsets := &coordinator.Offsets{Group: o.Group, Epoch: o.Epoch, Forget: o.Forget}
	offsets.Partitions = slices.SortedFunc(slices.Values(o.Offsets), func(a, b coordinator.GroupOffset) int {
		p, q := a.Partition, b.Partition
		return cmp.Or(bytes.Compare(p.Topic[:], q.Topic[:]), cmp.Compare(p.Index, q.Index))
	})
	fact := &coordinator.Fact{Incarnation: p.in, Offsets: offsets}
	g := p.g
	keys := []string{g.current(), g.counters(), g.leases(), g.stream(), g.pending(), g.order()}
	answer, err := p.c.run(ctx, offsetsScript, keys,
		g.name, o.Lease, uint32(o.Epoch), coordinator.AppendFact(nil, fact), o.Version)
	if err != nil {
		return coordinator.Entry{}, err
	}
	r := newReply(answer)
	if r.err == nil && len(r.rest) == 0 {
		return coordinator.Entry{}, lost
	}
	entry := coordinator.Entry{Seq: uint64(r.int()), Fact: fact}
	offsets.Version, offsets.Time = uint64(r.int()), r.int()
	return entry, r.err
}

// offsetsFact makes the fact of an entry `offsets`: version (u64), milliseconds (u64), and the
// fact without the two.
func offsetsFact(text string) (*coordinator.Fact, error) {
	r := reader{rest: []byte(text)}
	version, now := r.int64(), r.int64()
	if r.err != nil {
		return nil, r.err
	}
	fact, err := coordinator.DecodeFact(r.rest)
	if err != nil {
		return nil, err
	}
	if fact.Offsets == nil {
		return nil, fmt.Errorf("%w: not a fact about offsets", coordinator.ErrMalformed)
	}
	fact.Offsets.Version, fact.Offsets.Time = uint64(version), now
	return fact, nil
}
