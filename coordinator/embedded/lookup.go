package embedded

import (
	"context"
	"fmt"
	"maps"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Topic implements coordinator.Lookups.
func (e *Coordinator) Topic(_ context.Context, in coordinator.Incarnation, name string) (coordinator.TopicFact, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return coordinator.TopicFact{}, err
	}
	t := e.decided.TopicNamed(name)
	if t == nil || e.usable[t.ID] < 1 {
		return coordinator.TopicFact{}, fmt.Errorf("%w: %s", coordinator.ErrUnknownTopic, name)
	}
	found := *t
	found.Partitions, found.Configs = e.usable[t.ID], maps.Clone(t.Configs)
	return found, nil
}

// HighWatermarks implements coordinator.Lookups.
func (e *Coordinator) HighWatermarks(_ context.Context, in coordinator.Incarnation,
	partitions []segments.Partition) ([]int64, error) {
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

// Keyed implements coordinator.Lookups.
func (e *Coordinator) Keyed(_ context.Context, in coordinator.Incarnation, topic segments.TopicID,
	ids ...[16]byte) ([]*coordinator.RequestKey, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.check(in); err != nil {
		return nil, err
	}
	before := e.opts.Clock().Add(-coordinator.KeyExpiration).UnixMilli()
	found := make([]*coordinator.RequestKey, len(ids))
	for i, id := range ids {
		if q, known := e.decided.Request(topic, id); known && q.Time >= before {
			key := q.RequestKey
			found[i] = &key
		}
	}
	return found, nil
}
