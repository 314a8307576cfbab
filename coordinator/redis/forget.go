package redis

import (
	"context"
	"slices"

	"firn.dev/segments"
)

// Most of what Redis remembers for a time expires: answers to commits and changes, and requests
// with a key. This file has the rest, which a node has to look for. Each node does so with its
// heartbeat, also while Redis is full and refuses commits.

// How much one call of forget looks at. Each node calls it every second.
const (
	forgetPartitions = 16
	forgetOfEach     = 32
)

// forget makes room: it draws some partitions at random, and forgets their producers that have been
// silent for too long. Commits ignore those, whether they are still there or not. Of partitions
// whose topic was deleted it removes what an interrupted removal has left.
func (c *Coordinator) forget(ctx context.Context, g generation) (int64, error) {
	fields, err := c.client.HRandField(ctx, g.ends(), forgetPartitions).Result()
	fields = slices.DeleteFunc(fields, func(field string) bool { return len(field) != partitionLen })
	if err != nil || len(fields) == 0 {
		return 0, err
	}
	keys, topics := []string{g.current()}, make([]string, len(fields))
	for i, field := range fields {
		keys = append(keys, g.producers(field))
		topics[i] = field[:16]
	}
	usable, err := c.client.HMGet(ctx, g.usable(), topics...).Result()
	if err != nil {
		return 0, err
	}
	var gone []segments.Partition
	for i, n := range usable {
		if n == deletedTopic {
			gone = append(gone, parsePartition(fields[i]))
		}
	}
	if err := c.removePartitions(ctx, g, gone); err != nil {
		return 0, err
	}
	answer, err := c.run(ctx, forgetScript, keys, g.name, c.opts.ProducerExpiration.Milliseconds(), forgetOfEach)
	if err != nil {
		return 0, err
	}
	r := newReply([]any{answer})
	return r.int(), r.err
}

// deletedTopic is what stands for a deleted topic in place of its usable partitions, for ever.
const deletedTopic = "-1"

// removePartitions removes what there is of a deleted topic's partitions: the topic's id never
// comes again, so nobody asks for them. A partition's field in `ends` goes last: the others
// are found by it.
func (c *Coordinator) removePartitions(ctx context.Context, g generation, partitions []segments.Partition) error {
	const atOnce = 100
	for some := range slices.Chunk(partitions, atOnce) {
		var keys, fields []string
		for _, at := range some {
			keys = append(keys, g.ofPartition(at)...)
			fields = append(fields, partitionField(at))
		}
		if err := c.client.Unlink(ctx, keys...).Err(); err != nil {
			return err
		}
		for _, of := range []string{g.starts(), g.merges(), g.ends()} {
			if err := c.client.HDel(ctx, of, fields...).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}
