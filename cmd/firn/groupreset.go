package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"firn.dev/index"
)

type resetOptions struct {
	*bootstrap
	group  string
	topic  string
	to     string
	by     time.Duration
	dryRun bool
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
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print the offsets, and do not set them")
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
	if _, err := lookUp(ctx, adm, o.topic); err != nil {
		return err
	}
	parts, err := stretches(ctx, adm, o.topic, to, index.Latest)
	if err != nil {
		return err
	}
	before, err := adm.FetchOffsets(ctx, o.group)
	if err != nil {
		return explainGroup(o.group, err)
	}
	if o.dryRun {
		s.note("nothing is set: --dry-run")
	} else if err := o.commit(ctx, adm, parts); err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "topic\tpartition\tbefore\tnow\t\n")
	for _, partition := range slices.Sorted(maps.Keys(parts)) {
		was := "-"
		if c, there := before.Lookup(o.topic, partition); there && c.At >= 0 {
			was = fmt.Sprint(c.At)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t\n", o.topic, partition, was, target(parts[partition]))
	}
	return w.Flush()
}

// target is where a stretch begins, but not behind its end: what is not written yet would be
// skipped.
func target(part stretch) int64 { return min(part.start, part.end) }

func (o *resetOptions) commit(ctx context.Context, adm *kadm.Client, parts map[int32]stretch) error {
	offsets := kadm.Offsets{}
	for partition, part := range parts {
		offsets.AddOffset(o.topic, partition, target(part), -1)
	}
	answers, err := adm.CommitOffsets(ctx, o.group, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return explainGroup(o.group, err)
	}
	return nil
}
