package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// replay shows two things: groups that read one topic know nothing of each other, and a group that
// is reset to a time reads exactly the records from that time on.
func replay(ctx context.Context, c *cluster, firn string, records int) error {
	const topic, partitions = "replay", 6
	if err := c.create(ctx, partitions, topic); err != nil {
		return err
	}
	client, err := c.client(kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	begin := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	var all []*kgo.Record
	for i := range records { // a record a second
		all = append(all, &kgo.Record{Key: strconv.AppendInt(nil, int64(i%101), 10),
			Value: strconv.AppendInt(nil, int64(i), 10), Timestamp: begin.Add(time.Duration(i) * time.Second)})
	}
	if err := client.ProduceSync(ctx, all...).FirstErr(); err != nil {
		return err
	}
	first, err1 := readGroup(ctx, c, "first", topic, records)
	half, err2 := readGroup(ctx, c, "second", topic, records/2)
	rest, err3 := readGroup(ctx, c, "second", topic, records-len(half))
	again, err4 := readGroup(ctx, c, "first", topic, 0)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	for i := range half {
		if rest[i] > 0 {
			return fmt.Errorf("the second group read record %d before and after it came again", i)
		}
	}
	if len(first) != records || len(half)+len(rest) != records || len(again) != 0 {
		return fmt.Errorf("of %d records the first group read %d and then %d, the second %d and then %d", records, len(first),
			len(again), len(half), len(rest))
	}
	from := records / 3
	to := begin.Add(time.Duration(from) * time.Second).Format(time.RFC3339)
	if out, err := exec.CommandContext(ctx, firn, "group", "reset", "first", "--topic", topic, "--to", to, "--bootstrap",
		c.bootstrap()).CombinedOutput(); err != nil {
		return fmt.Errorf("firn group reset: %w: %s", err, out)
	}
	read, err := readGroup(ctx, c, "first", topic, records-from)
	if err != nil {
		return err
	}
	for i := range records {
		if want := i >= from; (read[i] == 1) != want || read[i] > 1 {
			return fmt.Errorf("reset to the time of record %d, the group read record %d %d times", from, i, read[i])
		}
	}
	return nil
}

// readGroup reads as the only member of a group: at least so many records, and then until nothing
// more comes.
func readGroup(ctx context.Context, c *cluster, group, topic string, least int) (map[int]int, error) {
	client, err := c.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	read := map[int]int{}
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 2*time.Second)
		fetches := client.PollRecords(poll, max(1, min(200, least-len(read))))
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			i, _ := strconv.Atoi(string(r.Value))
			read[i]++
		})
		if !fetches.Empty() {
			if err := client.CommitRecords(ctx, fetches.Records()...); err != nil {
				return nil, err
			}
		}
		if len(read) >= least && (least > 0 || fetches.Empty()) {
			return read, nil
		}
	}
	return nil, ctx.Err()
}
