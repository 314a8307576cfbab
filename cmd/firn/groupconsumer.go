package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/twmb/franz-go/pkg/kadm"
)

// listGroupTypes lists groups with their types and states.
func listGroupTypes(ctx context.Context, s streams, adm *kadm.Client) error {
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "group\ttype\tstate\n")
	for _, kind := range []string{"classic", "consumer"} {
		groups, err := adm.ListGroupsByType(ctx, []string{kind})
		if err != nil {
			return err
		}
		for _, g := range groups.Sorted() {
			fmt.Fprintf(w, "%s\t%s\t%s\n", g.Group, kind, g.State)
		}
	}
	return w.Flush()
}

// describeConsumerGroup describes a group of the new protocol.
func describeConsumerGroup(ctx context.Context, s streams, adm *kadm.Client, g *kadm.DescribedConsumerGroup) error {
	lag, err := consumerLag(ctx, adm, g)
	if err != nil {
		return explainGroup(g.Group, err)
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "group\t%s\ntype\tconsumer\nstate\t%s\nepoch\t%d\nassignor\t%s\n", g.Group, g.State, g.Epoch,
		g.AssignorName)
	fmt.Fprintf(w, "coordinator\t%d\nmembers\t%d\nlag\t%d\n", g.Coordinator.NodeID, len(g.Members), lag.Total())
	fmt.Fprint(w, "\nmember\tprotocol\tepoch\tclient\thost\tpartitions\tis to have\n")
	for i := range g.Members {
		m := &g.Members[i]
		protocol := "consumer"
		if m.MemberType == 0 {
			protocol = "classic"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", m.MemberID, protocol, m.MemberEpoch, m.ClientID, m.ClientHost,
			setText(m.Assignment), setText(m.TargetAssignment))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return writeLag(s, lag)
}

// consumerLag is how far a group of the new protocol has read what it has committed for, or is
// reading.
func consumerLag(ctx context.Context, adm *kadm.Client, g *kadm.DescribedConsumerGroup) (kadm.GroupLag, error) {
	commits, err := adm.FetchOffsets(ctx, g.Group)
	if err != nil {
		return nil, err
	}
	for topic, partitions := range g.AssignedPartitions() {
		for partition := range partitions {
			if _, committed := commits.Lookup(topic, partition); !committed {
				commits.Add(kadm.OffsetResponse{Offset: kadm.Offset{Topic: topic, Partition: partition, At: -1, LeaderEpoch: -1}})
			}
		}
	}
	var topics []string
	for topic := range commits {
		topics = append(topics, topic)
	}
	if len(topics) == 0 {
		return nil, nil
	}
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	return kadm.CalculateGroupLagWithStartOffsets(kadm.DescribedGroup{Group: g.Group, State: "Empty"}, commits, starts,
		ends), nil
}

// setText lists partitions: topic:0,1 other:2.
func setText(set kadm.TopicsSet) string {
	var topics []string
	for _, t := range set.Sorted() {
		topics = append(topics, partitionsText(t.Topic, t.Partitions))
	}
	return strings.Join(topics, " ")
}

// partitionsText lists the partitions of one topic.
func partitionsText(topic string, partitions []int32) string {
	return topic + ":" + strings.Trim(strings.ReplaceAll(fmt.Sprint(partitions), " ", ","), "[]")
}
