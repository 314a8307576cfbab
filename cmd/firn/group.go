package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newGroup(s streams) *cobra.Command {
	return ofServer(s, "group", "List, describe, reset and delete consumer groups",
		newGroupList, newGroupDescribe, newGroupReset, newGroupDelete)
}

func newGroupList(s streams, b *bootstrap) *cobra.Command {
	var long bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the names of all consumer groups, one a line",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if long {
				return listGroupTypes(ctx, s, adm)
			}
			groups, err := adm.ListGroups(ctx)
			if err != nil {
				return err
			}
			for _, g := range groups.Sorted() {
				if _, err := fmt.Fprintln(s.Out, g.Group); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "print the type and the state of each group as well")
	return cmd
}

func newGroupDescribe(s streams, b *bootstrap) *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME",
		Short: "Show a group's state and members, and for each partition how far it has read",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			consumers, err := adm.DescribeConsumerGroups(ctx, args[0])
			if g, known := consumers[args[0]]; err == nil && known && g.Err == nil {
				return describeConsumerGroup(ctx, s, adm, &g)
			}
			g, err := lookUpGroup(ctx, adm, args[0])
			if err != nil {
				return err
			}
			return describeGroup(s, &g)
		},
	}
}

// lookUpGroup returns a group that exists, and its lag.
func lookUpGroup(ctx context.Context, adm *kadm.Client, group string) (kadm.DescribedGroupLag, error) {
	lags, err := adm.Lag(ctx, group)
	if err != nil {
		return kadm.DescribedGroupLag{}, explainGroup(group, err)
	}
	g := lags[group]
	return g, explainGroup(group, g.Error())
}

// explainGroup turns a server's answer about a group into a line that says what to do.
func explainGroup(group string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.GroupIDNotFound):
		return fmt.Errorf("group %q does not exist: it has neither members nor committed offsets", group)
	case errors.Is(err, kerr.NonEmptyGroup), errors.Is(err, kerr.UnknownMemberID):
		return fmt.Errorf("group %q has members; stop them first", group)
	}
	if known := new(kerr.Error); errors.As(err, &known) {
		return fmt.Errorf("group %q: %s", group, known.Description)
	}
	return fmt.Errorf("group %q: %w", group, err)
}

func describeGroup(s streams, g *kadm.DescribedGroupLag) error {
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "group\t%s\ntype\tclassic\nstate\t%s\n", g.Group, g.State)
	if g.Protocol != "" {
		fmt.Fprintf(w, "assignor\t%s\n", g.Protocol)
	}
	fmt.Fprintf(w, "coordinator\t%d\nmembers\t%d\nlag\t%d\n", g.Coordinator.NodeID, len(g.Members), g.Lag.Total())
	if len(g.Members) > 0 {
		fmt.Fprint(w, "\nmember\tclient\thost\tpartitions\n")
		for i := range g.Members {
			m := &g.Members[i]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.MemberID, m.ClientID, m.ClientHost, assignmentText(m))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return writeLag(s, g.Lag)
}

// writeLag writes a line for each partition: how far the group has read it.
func writeLag(s streams, lag kadm.GroupLag) error {
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\ntopic\tpartition\tcommitted\tend\tlag\t\n")
	for _, l := range lag.Sorted() {
		committed, lag := fmt.Sprint(l.Commit.At), fmt.Sprint(l.Lag)
		if l.Commit.At < 0 {
			committed = "-"
		}
		if l.Err != nil {
			lag = "?"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t\n", l.Topic, l.Partition, committed, l.End.Offset, lag)
	}
	return w.Flush()
}

// assignmentText lists what a member reads: topic:0,1 other:2.
func assignmentText(m *kadm.DescribedGroupMember) string {
	assigned, ok := m.Assigned.AsConsumer()
	if !ok {
		return "?"
	}
	var topics []string
	for _, t := range assigned.Topics {
		topics = append(topics, partitionsText(t.Topic, t.Partitions))
	}
	return strings.Join(topics, " ")
}

func newGroupDelete(s streams, b *bootstrap) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a group that has no members, with all that it has committed",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			deleted, err := adm.DeleteGroup(ctx, args[0])
			if err == nil {
				err = deleted.Err
			}
			if err != nil {
				return explainGroup(args[0], err)
			}
			s.note("deleted group %s", args[0])
			return nil
		},
	}
}
