package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/index"
)

// idleFlush is how long records may wait in the output buffer when no more come.
const idleFlush = 50 * time.Millisecond

type consumeOptions struct {
	bootstrap
	topic     string
	group     string
	from      string
	partition int32
	count     int64
	follow    bool
	format    string
}

func newConsume(s streams) *cobra.Command {
	o := &consumeOptions{}
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Read a topic to standard output, one record per line",
		Long: "Read a topic to standard output, one record per line, from --from to the end that the topic has when the\n" +
			"command starts. With --follow, go on with new records. Records of one partition come in order. --count ends\n" +
			"the reading early.\n\n" +
			"With --group, read as a member of that consumer group, from the offsets that the group has committed, and\n" +
			"commit the records that were written out. --from then counts for partitions without a committed offset.",
		Args: exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.topic = args[0]
			switch {
			case cmd.Flags().Changed("partition") && o.partition < 0:
				return usagef("--partition %d: partitions are numbered from 0", o.partition)
			case o.group != "" && o.partition >= 0:
				return usagef("--partition and --group do not go together: a group shares the partitions out itself")
			case o.count < 0:
				return usagef("--count %d: it cannot be negative", o.count)
			}
			return consume(cmd.Context(), s, o)
		},
	}
	o.addFlag(cmd)
	cmd.Flags().StringVar(&o.group, "group", "", "read as a member of this consumer `group`")
	cmd.Flags().StringVar(&o.from, "from", "earliest",
		"`where` to start: earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z")
	cmd.Flags().Int32Var(&o.partition, "partition", -1, "read this partition alone; by default all")
	cmd.Flags().Int64Var(&o.count, "count", 0, "stop after this many records; 0: no limit")
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "wait for more at the end")
	cmd.Flags().StringVar(&o.format, "format", "value",
		"`how` a record is written: value, key-value (a tab between) or json")
	return cmd
}

func consume(ctx context.Context, s streams, o *consumeOptions) error {
	from, err := parsePlace("--from", o.from)
	if err != nil {
		return err
	}
	write, err := recordFormat(o.format)
	if err != nil {
		return err
	}
	if o.group != "" {
		return consumeGroup(ctx, s, o, from, write)
	}
	parts, err := o.plan(ctx, from)
	if err != nil {
		return err
	}
	c := &consumer{consumeOptions: o, write: write, out: bufio.NewWriterSize(s.Out, 256<<10), open: map[int32]int64{}}
	offsets, available := c.begin(parts)
	if len(offsets) == 0 {
		return nil
	}
	c.client, err = o.connect(ctx,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: offsets}),
		kgo.KeepControlRecords(), // they have offsets too: without them the end of a stretch could pass unseen
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer c.client.Close()

	expected := o.count
	if !o.follow && (expected == 0 || expected > available) {
		expected = available
	}
	c.progress = startProgress(s, "consumed", expected, o.count > 0)
	defer c.progress.finish()
	return c.copyRecords(ctx)
}

// plan finds the stretches to read.
func (o *consumeOptions) plan(ctx context.Context, from index.Place) (map[int32]stretch, error) {
	ctx, adm, done, err := o.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := lookUp(ctx, adm, o.topic); err != nil {
		return nil, err
	}
	parts, err := stretches(ctx, adm, o.topic, from)
	if err != nil || o.partition < 0 {
		return parts, err
	}
	only, ok := parts[o.partition]
	if !ok {
		return nil, fmt.Errorf("topic %q has partitions 0 to %d, not %d", o.topic, len(parts)-1, o.partition)
	}
	return map[int32]stretch{o.partition: only}, nil
}

// consumer copies records to an output.
type consumer struct {
	*consumeOptions
	client   *kgo.Client
	progress *progress
	out      *bufio.Writer
	write    formatter
	open     map[int32]int64 // partitions not yet read to their end, with that end
	written  int64
}

// begin says where to start in each partition that has, or with --follow will have, something to
// read, and about how many records that is.
func (c *consumer) begin(parts map[int32]stretch) (offsets map[int32]kgo.Offset, available int64) {
	offsets = map[int32]kgo.Offset{}
	for partition, part := range parts {
		if part.start >= part.end && !c.follow {
			continue
		}
		offsets[partition] = kgo.NewOffset().At(part.start)
		c.open[partition] = part.end
		available += max(part.end-part.start, 0)
	}
	return offsets, available
}

// copyRecords reads until done, an error, or a signal. With --follow a signal is the ordinary end.
func (c *consumer) copyRecords(ctx context.Context) error {
	for !c.done() {
		fetches, err := c.poll(ctx)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			if err := c.out.Flush(); err != nil || c.follow {
				return err
			}
			return errInterrupted
		}
		if err := c.copyFetches(fetches); err != nil {
			return err
		}
	}
	return c.out.Flush()
}

// poll waits for records. What is buffered is flushed before it waits for long.
func (c *consumer) poll(ctx context.Context) (kgo.Fetches, error) {
	soon, cancel := context.WithTimeout(ctx, idleFlush)
	fetches := c.client.PollFetches(soon)
	timedOut := soon.Err() != nil
	cancel()
	if !fetches.Empty() || !timedOut {
		return fetches, nil
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	return c.client.PollFetches(ctx), nil
}

func (c *consumer) done() bool {
	return c.count > 0 && c.written >= c.count || !c.follow && len(c.open) == 0
}

func (c *consumer) copyFetches(fetches kgo.Fetches) error {
	for _, problem := range fetches.Errors() {
		return explain(c.topic, problem.Err, "")
	}
	var records, bytes int64
	defer func() { c.progress.add(records, bytes) }()
	for r := range fetches.RecordsAll() {
		if c.done() {
			return nil
		}
		end, open := c.open[r.Partition]
		if !c.follow && (!open || r.Offset >= end) {
			delete(c.open, r.Partition)
			continue
		}
		if !r.Attrs.IsControl() {
			if err := c.write(c.out, r); err != nil {
				return err
			}
			c.written++
			records++
			bytes += int64(len(r.Key) + len(r.Value))
		}
		if !c.follow && r.Offset == end-1 {
			delete(c.open, r.Partition)
		}
	}
	return nil
}
