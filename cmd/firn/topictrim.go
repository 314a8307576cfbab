package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type trimOptions struct {
	*bootstrap
	topic      string
	before     string
	partitions partitionList
	dryRun     bool
	form       outputForm
}

func newTopicTrim(s streams, b *bootstrap) *cobra.Command {
	o := &trimOptions{bootstrap: b}
	cmd := &cobra.Command{
		Use:   "trim NAME --before WHERE",
		Short: "Delete a topic's oldest records",
		Long: "Delete the records of a topic before --before, in all its partitions or in those of --partition, for ever.\n" +
			"The new beginnings are printed; with --dry-run nothing is deleted.",
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.topic = args[0]
			if o.before == "" {
				return usagef("--before is missing: the place up to which records are deleted")
			}
			return o.trim(cmd.Context(), s)
		},
	}
	cmd.Flags().StringVar(&o.before, "before", "", "`where` the records begin that stay: latest (none does), an offset, "+
		"or a time like 2026-01-31T12:00:00Z")
	cmd.Flags().Var(&o.partitions, "partition", "these partitions alone, such as 0,3-5; by default all")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print what would be deleted, and delete nothing")
	o.form.addFlag(cmd)
	cmd.ValidArgsFunction = firstArg(b.complete(listTopicNames))
	completeFlag(cmd, "before", completePlaces)
	return cmd
}

// trimmed is what becomes of a partition.
type trimmed struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    int64  `json:"before"` // where it began
	Now       int64  `json:"now"`
	End       int64  `json:"end"`
}

func (o *trimOptions) trim(ctx context.Context, s streams) error {
	before, err := parsePlace("--before", o.before)
	if err != nil {
		return err
	}
	ctx, adm, done, err := o.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	parts, err := tails(ctx, adm, o.topic, before)
	if err != nil {
		return err
	}
	if err := o.partitions.choose(o.topic, parts); err != nil {
		return err
	}
	starts, err := adm.ListStartOffsets(ctx, o.topic)
	if err != nil {
		return explain(o.topic, err, "")
	}
	list := []trimmed{}
	for _, partition := range slices.Sorted(maps.Keys(parts)) {
		start := starts[o.topic][partition].Offset
		list = append(list, trimmed{o.topic, partition, start, max(start, target(parts[partition])), parts[partition].newest})
	}
	if o.dryRun {
		s.note("nothing is deleted: --dry-run")
	} else if err := deleteRecords(ctx, adm, list); err != nil {
		return err
	}
	return o.form.print(s.Out, list)
}

// deleteRecords makes partitions begin where the list says, and puts into it where they then do.
func deleteRecords(ctx context.Context, adm *kadm.Client, list []trimmed) error {
	offsets := kadm.Offsets{}
	for _, t := range list {
		offsets.AddOffset(t.Topic, t.Partition, t.Now, -1)
	}
	deleted, err := adm.DeleteRecords(ctx, offsets)
	if err != nil {
		return err
	}
	for i := range list {
		t := &list[i]
		answer, there := deleted.Lookup(t.Topic, t.Partition)
		if !there {
			return fmt.Errorf("topic %q: the server says nothing of partition %d", t.Topic, t.Partition)
		}
		if err := explain(t.Topic, answer.Err, ""); err != nil {
			return err
		}
		t.Now = answer.LowWatermark
	}
	return nil
}
