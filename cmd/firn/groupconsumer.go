package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// groupHead is what describe says of any group whose members the server assigns.
type groupHead struct {
	Group       string `json:"group"`
	Type        string `json:"type"`
	State       string `json:"state"`
	Epoch       int32  `json:"epoch"`
	Assignor    string `json:"assignor"`
	Coordinator int32  `json:"coordinator"`
}

// describedConsumerGroup is what describe says of a group of the new protocol.
type describedConsumerGroup struct {
	groupHead
	Members    []consumerMember `json:"members"`
	Lag        int64            `json:"lag"`
	Partitions []groupPartition `json:"partitions"`
}

type consumerMember struct {
	Member     string     `json:"member"`
	Protocol   string     `json:"protocol"`
	Epoch      int32      `json:"epoch"`
	Client     string     `json:"client"`
	Host       string     `json:"host"`
	Partitions assignment `json:"partitions"`
	Target     assignment `json:"target" table:"is to have"`
}

// describeConsumerGroup describes a group of the new protocol.
func describeConsumerGroup(ctx context.Context, adm *kadm.Client,
	g *kadm.DescribedConsumerGroup) (found describedConsumerGroup, err error) {
	lag, err := consumerLag(ctx, adm, g)
	if err != nil {
		return found, explainGroup(g.Group, err)
	}
	found = describedConsumerGroup{
		groupHead: groupHead{g.Group, "consumer", g.State, g.Epoch, g.AssignorName, g.Coordinator.NodeID},
		Members:   []consumerMember{}, Lag: lag.Total(), Partitions: groupPartitions(lag),
	}
	for i := range g.Members {
		m := &g.Members[i]
		protocol := "consumer"
		if m.MemberType == 0 {
			protocol = "classic"
		}
		found.Members = append(found.Members, consumerMember{m.MemberID, protocol, m.MemberEpoch, m.ClientID, m.ClientHost,
			assignmentOf(m.Assignment), assignmentOf(m.TargetAssignment)})
	}
	return found, nil
}

// assignmentOf is an assignment as it is printed.
func assignmentOf(set kadm.TopicsSet) assignment {
	has := assignment{}
	for _, t := range set.Sorted() {
		has[t.Topic] = t.Partitions
	}
	return has
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
