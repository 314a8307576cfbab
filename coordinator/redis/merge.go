package redis

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"firn.dev/coordinator"
)

// merge decides a merge, if nothing of what it was planned with has changed.
func (p *proposal) merge(ctx context.Context, c *coordinator.ProposeMerge) (coordinator.Entry, error) {
	if err := c.Validate(); err != nil {
		return coordinator.Entry{}, err
	}
	epoch := c.Epoch
	if epoch>>32 != uint64(p.in) {
		epoch = 0 // of another incarnation: nobody's
	}
	written := ""
	if len(c.Merge.Spans) > 0 {
		written = strconv.FormatInt(c.Segment.Time().UnixMilli(), 10)
	}
	at := binary.BigEndian.AppendUint64(appendPartition(nil, c.Merge.Partition), uint64(c.Merge.Last))
	deadline := p.c.opts.CommitDeadline
	fact := string(coordinator.AppendFact(nil, c.Fact(p.in)))
	entry, _, err := p.decide(ctx, "merge", fact, at, c.Lease, uint32(epoch), c.After,
		written, coordinator.MergeDeadline(deadline).Milliseconds(), deadline.Milliseconds(),
		c.Youngest.Time().UnixMilli(), coordinator.MergeAge(deadline).Milliseconds())
	if err != nil {
		err = fmt.Errorf("merge of %s over offsets %d-%d: %w", c.Merge.Partition, c.Merge.Base, c.Merge.Last, err)
	}
	return entry, err
}

// refusedMerge says why a merge was refused.
func refusedMerge(what string, r *reply) error {
	switch what {
	case "lease":
		return coordinator.ErrLeaseLost
	case "old":
		return fmt.Errorf("%w: it is %s old", coordinator.ErrTooOld, time.Duration(r.int())*time.Millisecond)
	case "young":
		return fmt.Errorf("%w: it is %s old", coordinator.ErrTooYoung, time.Duration(r.int())*time.Millisecond)
	}
	return coordinator.ErrMergedMeanwhile
}
