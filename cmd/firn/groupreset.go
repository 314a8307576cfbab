package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"firn.dev/index"
)

type resetOptions struct {
	*bootstrap
	offsetSetting
	topic string
	to    string
	by    time.Duration
}

func newGroupReset(s streams, b *bootstrap) *cobra.Command {
	o := &resetOptions{bootstrap: b}
	cmd := &cobra.Command{
		Use:   "reset NAME --topic T (--to WHERE | --by DURATION)",
		Short: "Set the offsets from which a group reads a topic",
		Long: "Set the offsets from which a group reads a topic, in all its partitions: --to, or the records that are " +
			"--by older\n" +
			"than now. The group must have no members. The new offsets are printed; with --dry-run they are not set.",
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.group = args[0]
			switch {
			case o.topic == "":
				return usagef("--topic is missing: the topic to read again")
			case (o.to == "") == (o.by == 0):
				return usagef("give either --to or --by")
			case o.by < 0:
				return usagef("--by %s: it says how far to go back, and cannot be negative", o.by)
			}
			return o.reset(cmd.Context(), s)
		},
	}
	cmd.Flags().StringVar(&o.topic, "topic", "", "the `topic` whose offsets are set")
	cmd.Flags().StringVar(&o.to, "to", "", "`where` to read on: earliest, latest, an offset, or a time like "+
		"2026-01-31T12:00:00Z")
	cmd.Flags().DurationVar(&o.by, "by", 0, "read the records again that came in this last `duration`")
	o.offsetSetting.addFlags(cmd)
	cmd.ValidArgsFunction = firstArg(b.complete(listGroupNames))
	completeFlag(cmd, "topic", b.complete(listTopicNames))
	completeFlag(cmd, "to", completePlaces)
	return cmd
}

// reset finds the offsets, sets and prints them.
func (o *resetOptions) reset(ctx context.Context, s streams) error {
	to := index.AtTime(time.Now().Add(-o.by))
	if o.to != "" {
		var err error
		if to, err = parsePlace("--to", o.to); err != nil {
			return err
		}
	}
	ctx, adm, done, err := o.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	parts, err := tails(ctx, adm, o.topic, to)
	if err != nil {
		return err
	}
	before, err := adm.FetchOffsets(ctx, o.group)
	if err != nil {
		return explainGroup(o.group, err)
	}
	moved := []movedOffset{}
	for _, partition := range slices.Sorted(maps.Keys(parts)) {
		m := movedOffset{Topic: o.topic, Partition: partition, Now: target(parts[partition])}
		if c, there := before.Lookup(o.topic, partition); there && c.At >= 0 {
			m.Before = &c.At
		}
		moved = append(moved, m)
	}
	return o.setOffsets(ctx, s, adm, moved)
}

// movedOffset is what becomes of a group's offset.
type movedOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    *int64 `json:"before"`
	Now       int64  `json:"now"`
	metadata  string
}

// offsetSetting is what the commands that set a group's offsets have in common.
type offsetSetting struct {
	group  string
	dryRun bool
	form   outputForm
}

func (o *offsetSetting) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print the offsets, and do not set them")
	o.form.addFlag(cmd)
}

// setOffsets sets offsets, and prints them.
func (o *offsetSetting) setOffsets(ctx context.Context, s streams, adm *kadm.Client, moved []movedOffset) error {
	if o.dryRun {
		s.note("nothing is set: --dry-run")
		return o.form.print(s.Out, moved)
	}
	offsets := kadm.Offsets{}
	for _, m := range moved {
		offsets.Add(kadm.Offset{Topic: m.Topic, Partition: m.Partition, At: m.Now, LeaderEpoch: -1, Metadata: m.metadata})
	}
	answers, err := adm.CommitOffsets(ctx, o.group, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return explainGroup(o.group, err)
	}
	return o.form.print(s.Out, moved)
}

// target is where a stretch begins, but not behind its end: what is not written yet would be
// skipped.
func target(part stretch) int64 { return min(part.start, part.end) }
