package redis

import (
	"context"
	"fmt"

	"firn/coordinator"
	"firn/segments"
)

// Topic implements coordinator.Log.
func (c *Coordinator) Topic(ctx context.Context, in coordinator.Incarnation, name string) (coordinator.TopicFact, error) {
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

// HighWatermarks implements coordinator.Log.
func (c *Coordinator) HighWatermarks(ctx context.Context, in coordinator.Incarnation, partitions []segments.Partition) ([]int64, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return nil, err
	}
	var names []byte
	for _, at := range partitions {
		names = appendPartition(names, at)
	}
	answer, err := c.run(ctx, marksScript, []string{g.current(), g.usable(), g.ends(), g.pending()}, g.name, names)
	if err != nil {
		return nil, err
	}
	r := newReply(answer)
	marks := make([]int64, len(partitions))
	for i := range marks {
		marks[i] = r.int()
	}
	return marks, r.err
}

// Keyed implements coordinator.Log.
func (c *Coordinator) Keyed(ctx context.Context, in coordinator.Incarnation, partitions []segments.Partition, id [16]byte) ([]coordinator.Keyed, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return nil, err
	}
	keys := []string{g.current()}
	for _, at := range partitions {
		keys = append(keys, g.keySlots(at)...)
	}
	answer, err := c.run(ctx, keyedScript, keys, g.name, id[:], c.opts.KeyExpiration.Milliseconds())
	if err != nil {
		return nil, err
	}
	r := newReply(answer)
	var found []coordinator.Keyed
	for len(r.rest) > 0 && r.err == nil {
		i, text := r.int()/keySlots, r.string()
		if r.err != nil || i < 0 || int(i) >= len(partitions) {
			return nil, fmt.Errorf("redis, keyed: slot of partition %d: %w", i, r.err)
		}
		k, err := decodeKeyed(partitions[i], id, text)
		if err != nil {
			return nil, err
		}
		found = append(found, k)
	}
	return found, r.err
}
