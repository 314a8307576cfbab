package coordinator

import (
	"context"
	"fmt"
	"slices"

	"firn.dev/segments"
)

// ArchiveOptions say how much of a partition's index goes into one index object. Zero
// values mean the defaults.
type ArchiveOptions struct {
	Batch int // spans that one object lists, at most 65536; 256
	Keep  int // merged spans, the newest, that stay out, so that merges can still take them up; 256
}

func (o ArchiveOptions) withDefaults() ArchiveOptions {
	if o.Batch <= 0 {
		o.Batch = 256
	}
	if o.Keep <= 0 {
		o.Keep = 256
	}
	o.Batch = min(o.Batch, maxListed)
	return o
}

// Archive puts the oldest merged spans of a partition that are in no index object yet into one, if
// there are Batch of them and Keep more behind them, and says whether it did. There may be more
// then: call it again. It takes one put and one merge in the commit stream, and returns once this
// node's view shows the merge.
//
// The caller holds the lease under which the partition is merged. If another process merges
// meanwhile, Archive fails as a merge does (ErrMergedMeanwhile, ErrLeaseLost), and the
// object that it has put is garbage. It leaves compacted partitions alone: compaction goes
// over all of their spans.
func (n *Node) Archive(ctx context.Context, lease Lease, at segments.Partition, opts ArchiveOptions) (bool, error) {
	spans, after := n.view.archivable(at, opts.withDefaults())
	if len(spans) == 0 {
		return false, nil
	}
	now, err := n.CoordinatorTime(ctx)
	if err != nil {
		return false, err
	}
	c, object := archiving(at, segments.NewID(now), spans, after)
	if err := n.opts.Store.Put(ctx, IndexKey(c.Segment), object); err != nil {
		return false, fmt.Errorf("index object %s of %s: %w", c.Segment, at, err)
	}
	c.Lease, c.Epoch = lease.Name, lease.Epoch
	_, err = n.Change(ctx, Change{Merge: c})
	return err == nil, err
}

// archiving is an index object for spans, and the merge that puts it in their place.
func archiving(at segments.Partition, id segments.ID, spans []Span, after uint64) (*ProposeMerge, []byte) {
	listed, object := EncodeIndex(at, id, spans)
	return &ProposeMerge{After: after, Segment: id, Merge: Merge{
		Partition: at, Base: listed.Base, Last: listed.Last, Spans: []Span{listed},
	}}, object
}

// archivable returns what is to be archived next, and the version of the newest merge: see Plan.
func (v *View) archivable(at segments.Partition, o ArchiveOptions) (spans []Span, after uint64) {
	v.mu.RLock()
	p := v.state.partitions[at]
	if p == nil {
		v.mu.RUnlock()
		return nil, 0
	}
	all, after := p.spans, p.merges
	v.mu.RUnlock()
	if slices.ContainsFunc(all, func(s placed) bool { return s.Compacted }) {
		return nil, 0
	}
	from := slices.IndexFunc(all, func(s placed) bool { return s.Listed == 0 })
	if from < 0 {
		return nil, 0
	}
	to := from
	for to < len(all) && to < from+o.Batch+o.Keep && all[to].Version > 0 && all[to].Listed == 0 {
		to++
	}
	if to < from+o.Batch+o.Keep {
		return nil, 0
	}
	return some(all[:from+o.Batch], all[from].Base, o.Batch), after
}
