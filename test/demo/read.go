package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readWithFranz reads the topic from its start to its end, and checks that offsets are dense.
func (d demo) readWithFranz(ctx context.Context, bootstrap string) (digests, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	var left int64
	ends.Each(func(end kadm.ListedOffset) { left += end.Offset })

	found, next := hashes{}, map[int32]int64{}
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		for _, problem := range fetches.Errors() {
			return nil, fmt.Errorf("partition %d: %w", problem.Partition, problem.Err)
		}
		for r := range fetches.RecordsAll() {
			if r.Offset != next[r.Partition] {
				return nil, fmt.Errorf("partition %d: offset %d where %d was due", r.Partition, r.Offset, next[r.Partition])
			}
			next[r.Partition]++
			left--
			found.add(string(r.Key), r.Value)
		}
	}
	return found.sum(), nil
}

// readWithKafkaJS runs the reader beside this folder, which prints one line of JSON for each key.
func (d demo) readWithKafkaJS(ctx context.Context, bootstrap string) (digests, error) {
	node := exec.CommandContext(ctx, "node", filepath.Join(d.reader, "read.js"), bootstrap, topic)
	var complaints bytes.Buffer
	node.Stderr = &complaints
	out, err := node.Output()
	if err != nil {
		return nil, fmt.Errorf("node: %w: %s", err, &complaints)
	}
	found := digests{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var line struct {
			Key string
			digest
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("read.js: %w: %s", err, lines.Bytes())
		}
		found[line.Key] = line.digest
	}
	if len(found) == 0 {
		return nil, errors.New("read.js found no record")
	}
	return found, lines.Err()
}
