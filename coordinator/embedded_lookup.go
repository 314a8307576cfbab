package coordinator

import (
	"context"
	"fmt"
	"maps"

	"firn.dev/segments"
)

// Topic implements Log.
func (e *Embedded) Topic(_ context.Context, in Incarnation, name string) (TopicFact, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return TopicFact{}, err
	}
	t := e.decided.names[name]
	if t == nil || e.usable[t.ID] < 1 {
		return TopicFact{}, fmt.Errorf("%w: %s", ErrUnknownTopic, name)
	}
	found := *t
	found.Partitions, found.Configs = e.usable[t.ID], maps.Clone(t.Configs)
	return found, nil
}

// HighWatermarks implements Log.
func (e *Embedded) HighWatermarks(_ context.Context, in Incarnation, partitions []segments.Partition) ([]int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return nil, err
	}
	marks := make([]int64, len(partitions))
	for i, at := range partitions {
		mark, usable := e.highWatermark(at)
		if !usable {
			mark = -1
		}
		marks[i] = mark
	}
	return marks, nil
}

// Keyed implements Log.
func (e *Embedded) Keyed(_ context.Context, in Incarnation, topic segments.TopicID, ids ...[16]byte) ([]*RequestKey, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return nil, err
	}
	before := e.opts.Clock().Add(-KeyExpiration).UnixMilli()
	found := make([]*RequestKey, len(ids))
	for i, id := range ids {
		if q := e.decided.requests[topic][id]; q != nil && q.time >= before {
			key := q.RequestKey
			found[i] = &key
		}
	}
	return found, nil
}
