package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// marksAtOnce is how many partitions one script looks at.
const marksAtOnce = 500

// Topic implements coordinator.Lookups.
func (c *Coordinator) Topic(
	ctx context.Context, in coordinator.Incarnation, name string,
) (coordinator.TopicFact, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return coordinator.TopicFact{}, err
	}
	answer, err := c.run(ctx, namedScript, []string{g.current(), g.names(), g.topics(), g.usable()}, g.name, name)
	if err != nil {
		return coordinator.TopicFact{}, err
	}
	r := newReply(answer)
	text, usable := r.string(), r.int()
	switch {
	case r.err != nil:
		return coordinator.TopicFact{}, r.err
	case text == "" || usable < 1:
		return coordinator.TopicFact{}, fmt.Errorf("%w: %s", coordinator.ErrUnknownTopic, name)
	}
	fact, err := coordinator.DecodeFact([]byte(text))
	if err != nil || fact.Topic == nil {
		return coordinator.TopicFact{}, fmt.Errorf("redis: topic %q: %w", name, err)
	}
	fact.Topic.Partitions = int32(usable)
	return *fact.Topic, nil
}

// HighWatermarks implements coordinator.Lookups.
func (c *Coordinator) HighWatermarks(
	ctx context.Context, in coordinator.Incarnation, partitions []segments.Partition,
) ([]int64, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return nil, err
	}
	marks := make([]int64, 0, len(partitions))
	for some := range slices.Chunk(partitions, marksAtOnce) {
		var names []byte
		for _, at := range some {
			names = appendPartition(names, at)
		}
		answer, err := c.run(ctx, marksScript, []string{g.current(), g.usable(), g.ends()}, g.name, names)
		if err != nil {
			return nil, err
		}
		r := newReply(answer)
		for range some {
			marks = append(marks, r.int())
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return marks, nil
}

// Keyed implements coordinator.Lookups.
func (c *Coordinator) Keyed(
	ctx context.Context, in coordinator.Incarnation, topic segments.TopicID, ids ...[16]byte,
) ([]*coordinator.RequestKey, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return nil, err
	}
	keys := append([]string{g.current()}, g.requestSlots(topic)...)
	found := make([]*coordinator.RequestKey, 0, len(ids))
	for some := range slices.Chunk(ids, keyedAtOnce) {
		var named []byte
		for i := range some {
			named = append(named, some[i][:]...)
		}
		answer, err := c.run(ctx, keyedScript, keys, g.name, named, c.opts.KeyExpiration.Milliseconds())
		if err != nil {
			return nil, err
		}
		r := newReply(answer)
		for _, id := range some {
			k, err := decodeRequest(id, r.string())
			if err = cmp.Or(r.err, err); err != nil {
				return nil, err
			}
			found = append(found, k)
		}
	}
	return found, nil
}

// keyedAtOnce is how many requests one script looks up.
const keyedAtOnce = 250
