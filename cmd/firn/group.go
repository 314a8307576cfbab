package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newGroup(s streams) *cobra.Command {
	return ofServer(s, "group", "List, describe, reset, export, import and delete consumer groups",
		newGroupList, newGroupDescribe, newGroupReset, newGroupExport, newGroupImport, newGroupDelete)
}

func newGroupList(s streams, b *bootstrap) *cobra.Command {
	var long bool
	var form outputForm
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
			list, err := listGroups(ctx, adm)
			if err != nil {
				return err
			}
			if long {
				return form.print(s.Out, list)
			}
			return form.printWith(s.Out, list, func(w io.Writer) error {
				for _, g := range list {
					fmt.Fprintln(w, printable(g.Group))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "print the type and the state of each group as well")
	form.addFlag(cmd)
	return cmd
}

// listedGroup is a group in a list.
type listedGroup struct {
	Group string `json:"group"`
	Type  string `json:"type"`
	State string `json:"state"`
}

// listGroups lists groups with their types and states.
func listGroups(ctx context.Context, adm *kadm.Client) ([]listedGroup, error) {
	list := []listedGroup{}
	for _, kind := range []string{"classic", "consumer", "share"} {
		groups, err := adm.ListGroupsByType(ctx, []string{kind})
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			list = append(list, listedGroup{g.Group, kind, g.State})
		}
	}
	slices.SortFunc(list, func(a, b listedGroup) int { return strings.Compare(a.Group, b.Group) })
	return list, nil
}

func newGroupDescribe(s streams, b *bootstrap) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:               "describe NAME",
		Short:             "Show a group's state and members, and for each partition how far it has read",
		Args:              exactly("NAME"),
		ValidArgsFunction: firstArg(b.complete(listGroupNames)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			found, err := describeGroup(ctx, adm, args[0])
			if err != nil {
				return err
			}
			return form.print(s.Out, found)
		},
	}
	form.addFlag(cmd)
	return cmd
}

// describedGroup is what describe says of a group of the classic protocol.
type describedGroup struct {
	Group       string           `json:"group"`
	Type        string           `json:"type"`
	State       string           `json:"state"`
	Assignor    string           `json:"assignor,omitempty"`
	Coordinator int32            `json:"coordinator"`
	Members     []groupMember    `json:"members"`
	Lag         int64            `json:"lag"`
	Partitions  []groupPartition `json:"partitions"`
}

type groupMember struct {
	Member     string     `json:"member"`
	Client     string     `json:"client"`
	Host       string     `json:"host"`
	Partitions assignment `json:"partitions"`
}

// assignment is the partitions of each topic that a member has.
type assignment map[string][]int32

// String lists them: topic:0,1 other:2.
func (a assignment) String() string {
	var topics []string
	for _, topic := range slices.Sorted(maps.Keys(a)) {
		partitions := slices.Sorted(slices.Values(a[topic]))
		topics = append(topics, topic+":"+strings.Trim(strings.ReplaceAll(fmt.Sprint(partitions), " ", ","), "[]"))
	}
	return strings.Join(topics, " ")
}

// groupPartition is how far a group has read a partition.
type groupPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"`
	End       int64  `json:"end"`
	Lag       *int64 `json:"lag"` // unknown where the end is
}

// describeGroup describes a group of any type.
func describeGroup(ctx context.Context, adm *kadm.Client, group string) (any, error) {
	consumers, err := adm.DescribeConsumerGroups(ctx, group)
	if g, known := consumers[group]; err == nil && known && g.Err == nil {
		return describeConsumerGroup(ctx, adm, &g)
	}
	sharers, err := adm.DescribeShareGroups(ctx, group)
	if g, known := sharers[group]; err == nil && known && g.Err == nil {
		return describeShareGroup(ctx, adm, &g)
	}
	g, err := lookUpGroup(ctx, adm, group)
	if err != nil {
		return nil, err
	}
	return describeClassicGroup(&g), nil
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
		return fmt.Errorf("group %q has members, or claims of records; stop them first", group)
	}
	if known := new(kerr.Error); errors.As(err, &known) {
		return fmt.Errorf("group %q: %s", group, known.Description)
	}
	return fmt.Errorf("group %q: %w", group, err)
}

func describeClassicGroup(g *kadm.DescribedGroupLag) describedGroup {
	found := describedGroup{Group: g.Group, Type: "classic", State: g.State, Assignor: g.Protocol,
		Coordinator: g.Coordinator.NodeID, Members: []groupMember{}, Lag: g.Lag.Total(), Partitions: groupPartitions(g.Lag)}
	for i := range g.Members {
		m := &g.Members[i]
		has := assignment{}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				has[t.Topic] = t.Partitions
			}
		}
		found.Members = append(found.Members, groupMember{m.MemberID, m.ClientID, m.ClientHost, has})
	}
	return found
}

// groupPartitions says for each partition how far a group has read it.
func groupPartitions(lag kadm.GroupLag) []groupPartition {
	list := []groupPartition{}
	for _, l := range lag.Sorted() {
		p := groupPartition{Topic: l.Topic, Partition: l.Partition, End: l.End.Offset}
		if l.Commit.At >= 0 {
			p.Committed = &l.Commit.At
		}
		if l.Err == nil {
			p.Lag = &l.Lag
		}
		list = append(list, p)
	}
	return list
}

func newGroupDelete(s streams, b *bootstrap) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a group that has no members, with all that it has committed",
		Args:              exactly("NAME"),
		ValidArgsFunction: firstArg(b.complete(listGroupNames)),
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
			s.note("deleted group %s", printable(args[0]))
			return nil
		},
	}
}
