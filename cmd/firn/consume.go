package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/index"
)

// Bounds of what a consumer waits for, and of what it collects.
const (
	idleFlush   = 50 * time.Millisecond  // how long records may wait in the output buffer when no more come
	idleLook    = 500 * time.Millisecond // how long no record may come before it is looked whether there are any
	lookTimeout = 5 * time.Second        // how long such a look may take
	outputBytes = 256 << 10              // of records are collected before they are written
)

type consumeOptions struct {
	bootstrap
	topic      string
	group      string
	from, to   string
	partitions partitionList
	count      int64
	follow     bool
	format     string
	filters    []string
	isolation  isolation

	topicID [16]byte // as plan found it
}

func newConsume(s streams) *cobra.Command {
	o := &consumeOptions{}
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Read a topic to standard output, one record per line",
		Long: "Read a topic to standard output, one record per line, from --from to --to, which is the end that the topic\n" +
			"has when the command starts. With --follow, go on with new records. Records of one partition come in order.\n" +
			"--count ends the reading early.\n\n" +
			"Records of aborted and of open transactions are left out, and the end is the last stable offset, if there are\n" +
			"open ones. --isolation read-uncommitted reads all.\n\n" +
			"With --group, read as a member of that consumer group, from the offsets that the group has committed, and\n" +
			"commit the records that were written out. --from then counts for partitions without a committed offset.\n\n" +
			"--format json is what 'firn produce --format json' reads, and what HTTP and 'firn replay' write. A format with\n" +
			"a percent sign is as in kcat:\n" + formatHelp + "\n\n" +
			"--filter writes the records alone whose key, value or header.NAME matches: FIELD~REGEXP, FIELD=TEXT, or\n" +
			"FIELD*=TEXT for a text that it contains; !~ and != are their opposites. If it is there several times, a\n" +
			"record has to match all.",
		Args: exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.topic = args[0]
			switch {
			case cmd.Flags().Changed("group") && o.group == "":
				return usagef("--group is empty: name a group, or leave it out to read without one")
			case o.group != "" && len(o.partitions.of) > 0:
				return usagef("--partition and --group do not go together: a group shares the partitions out itself")
			case o.group != "" && o.to != "latest":
				return usagef("--to and --group do not go together: what the group commits says how far it has read")
			case o.follow && o.to != "latest":
				return usagef("--follow has no end: it does not go with --to")
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
	cmd.Flags().StringVar(&o.to, "to", "latest", "`where` to end, exclusive: the same")
	cmd.Flags().Var(&o.partitions, "partition", "read these partitions alone, such as 0,3-5; by default all")
	cmd.Flags().Int64Var(&o.count, "count", 0, "stop after this many records; 0: no limit")
	cmd.Flags().BoolVarP(&o.follow, "follow", "F", false, "wait for more at the end")
	cmd.Flags().StringVarP(&o.format, "format", "f", "value",
		"`how` a record is written: value, key-value (a tab between), json, or a format such as '%k %s\\n'")
	cmd.Flags().StringArrayVar(&o.filters, "filter", nil, "write the records alone that match this `expression`, such as "+
		"key~^anna; may be repeated")
	cmd.ValidArgsFunction = firstArg(o.complete(listTopicNames))
	o.isolation = readCommitted
	cmd.Flags().Var(&o.isolation, "isolation",
		"read-committed, or read-uncommitted: records of open and aborted transactions as well")
	completeFlag(cmd, "group", o.complete(listGroupNames))
	completeFlag(cmd, "from", completePlaces)
	completeFlag(cmd, "to", completePlaces)
	completeFlag(cmd, "format", fixedWords("value", "key-value", "json"))
	completeFlag(cmd, "isolation", fixedWords(string(readCommitted), string(readUncommitted)))
	return cmd
}

func consume(ctx context.Context, s streams, o *consumeOptions) error {
	from, err := parsePlace("--from", o.from)
	if err != nil {
		return err
	}
	to, err := parsePlace("--to", o.to)
	if err != nil {
		return err
	}
	w := recordWriter{}
	if w.format, err = recordFormat(o.format); err != nil {
		return err
	}
	if w.wanted, err = parseFilters(o.filters); err != nil {
		return err
	}
	w.out = s.Out
	parts, err := o.plan(ctx, s, from, to)
	if err != nil {
		return err
	}
	if o.group != "" {
		return consumeGroup(ctx, s, o, from, parts, w)
	}
	c := &consumer{consumeOptions: o, recordWriter: w, open: map[int32]*stretch{}}
	offsets, available := c.begin(parts)
	if len(offsets) == 0 {
		return nil
	}
	c.client, err = o.connect(ctx,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.topic: offsets}),
		kgo.FetchIsolationLevel(o.isolation.level()),
		kgo.KeepControlRecords(), // they have offsets too: without them the end of a stretch could pass unseen
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer c.client.Close()
	c.lookout = o.lookout(c.client)
	defer o.watchServer(ctx, s, c.client, "trying again until one does")()

	expected := o.count
	if !o.follow && (expected == 0 || expected > available) {
		expected = available
	}
	c.progress = startProgress(s, "consumed", expected, o.count > 0)
	defer c.progress.finish()
	return c.copyRecords(ctx)
}

// plan finds the stretches to read.
func (o *consumeOptions) plan(ctx context.Context, s streams, from, to index.Place) (map[int32]stretch, error) {
	ctx, adm, done, err := o.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	detail, err := lookUp(ctx, adm, o.topic)
	if err != nil {
		return nil, err
	}
	o.topicID = detail.ID
	parts, err := stretches(ctx, adm, o.topic, from, to, o.isolation == readCommitted)
	if err != nil {
		return nil, err
	}
	if err := o.partitions.choose(o.topic, parts); err != nil {
		return nil, err
	}
	return parts, o.checkFrom(s, from, parts)
}

// checkFrom looks whether there is anything from a place on. An offset that no partition has is a
// mistake. A time that no record has is none: records may come.
func (o *consumeOptions) checkFrom(s streams, from index.Place, parts map[int32]stretch) error {
	newest := int64(0)
	for _, part := range parts {
		newest = max(newest, part.newest)
		if part.start < part.newest {
			return nil
		}
	}
	if offset, is := from.Offset(); is && offset > newest {
		return fmt.Errorf("--from %d is beyond the end of topic %q: the next record gets offset %d; "+
			"'firn topic describe %s' shows where each partition ends", offset, o.topic, newest, o.topic)
	}
	if _, byTime := from.Millis(); byTime {
		s.note("topic %s has no record of %s or later yet", o.topic, o.from)
	}
	return nil
}

// recordWriter writes the records that are wanted. Each write to the output has whole records: a
// program behind a pipe would take the beginning of one for a record.
type recordWriter struct {
	out     io.Writer
	format  formatter
	wanted  filter
	waiting bytes.Buffer
}

// write writes a record, if it is wanted.
func (w *recordWriter) write(r *kgo.Record) (written bool, err error) {
	if !w.wanted(r) {
		return false, nil
	}
	if err := w.format(&w.waiting, r); err != nil {
		return false, err
	}
	if w.waiting.Len() >= outputBytes {
		err = w.flush()
	}
	return true, err
}

// flush writes what waits.
func (w *recordWriter) flush() error {
	_, err := w.waiting.WriteTo(w.out)
	return err
}

// consumer copies records to an output.
type consumer struct {
	*consumeOptions
	recordWriter
	client   *kgo.Client
	lookout  *lookout
	progress *progress
	open     map[int32]*stretch // partitions not yet read to their end, with what is left
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
		c.open[partition] = &part
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
			if err := c.flush(); err != nil || c.follow {
				return err
			}
			return errInterrupted
		}
		if err := c.copyFetches(fetches); err != nil {
			return cmp.Or(c.flush(), err)
		}
	}
	return c.flush()
}

// poll waits for records. What is buffered is flushed before it waits for long, and after that
// stretches are closed that have no more. It may return none.
func (c *consumer) poll(ctx context.Context) (kgo.Fetches, error) {
	if fetches, come := c.pollFor(ctx, idleFlush); come {
		return fetches, nil
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	if c.follow {
		return c.client.PollFetches(ctx), nil
	}
	fetches, come := c.pollFor(ctx, idleLook)
	if come {
		return fetches, nil
	}
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for partition, left := range c.open {
		if !c.lookout.isOver(looking, partition, left.start, left.end) {
			break // records come, or there is nobody to ask
		}
		delete(c.open, partition)
	}
	return nil, nil
}

// pollFor waits so long for records, or for what is wrong with them.
func (c *consumer) pollFor(ctx context.Context, wait time.Duration) (fetches kgo.Fetches, come bool) {
	soon, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	fetches = c.client.PollFetches(soon)
	return fetches, !fetches.Empty() || soon.Err() == nil
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
		left := c.open[r.Partition]
		if !c.follow && (left == nil || r.Offset >= left.end) {
			delete(c.open, r.Partition)
			continue
		}
		if !r.Attrs.IsControl() {
			written, err := c.write(r)
			if err != nil {
				return err
			}
			if written {
				c.written++
			}
			records++
			bytes += int64(len(r.Key) + len(r.Value))
		}
		if c.follow {
			continue
		}
		if left.start = r.Offset + 1; left.start >= left.end {
			delete(c.open, r.Partition)
		}
	}
	return nil
}
