package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// describedShareGroup is what describe says of a share group.
type describedShareGroup struct {
	groupHead
	Members    []shareMember    `json:"members"`
	Lag        int64            `json:"lag"`
	Partitions []sharePartition `json:"partitions"`
}

type shareMember struct {
	Member     string     `json:"member"`
	Epoch      int32      `json:"epoch"`
	Client     string     `json:"client"`
	Host       string     `json:"host"`
	Partitions assignment `json:"partitions"`
}

// sharePartition is how far a share group is with a partition.
type sharePartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"` // every record before is finished
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"` // records that are not finished
}

// describeShareGroup describes a share group.
func describeShareGroup(ctx context.Context, adm *kadm.Client,
	g *kadm.DescribedShareGroup) (describedShareGroup, error) {
	found := describedShareGroup{
		groupHead: groupHead{g.GroupID, "share", g.GroupState, g.GroupEpoch, g.Assignor, g.Coordinator.NodeID},
		Members:   []shareMember{}, Partitions: []sharePartition{},
	}
	for i := range g.Members {
		m := &g.Members[i]
		found.Members = append(found.Members, shareMember{m.MemberID, m.MemberEpoch, m.ClientID, m.ClientHost,
			assignmentOf(m.Assignment)})
	}
	described, err := adm.DescribeShareGroupOffsets(ctx, g.GroupID)
	if err == nil {
		err = described[g.GroupID].Err
	}
	if err != nil {
		return found, explainGroup(g.GroupID, err)
	}
	offsets := described[g.GroupID].Offsets
	topics := kadm.TopicsSet{}
	for topic, partitions := range offsets {
		for partition := range partitions {
			topics.Add(topic, partition)
		}
	}
	if len(topics) == 0 {
		return found, nil
	}
	ends, err := adm.ListEndOffsets(ctx, topics.Topics()...)
	if err != nil {
		return found, explainGroup(g.GroupID, err)
	}
	for _, t := range topics.Sorted() {
		for _, index := range t.Partitions {
			at, end := offsets[t.Topic][index], ends[t.Topic][index]
			found.Partitions = append(found.Partitions, sharePartition{t.Topic, index, at.StartOffset, end.Offset, at.Lag})
			found.Lag += max(at.Lag, 0)
		}
	}
	return found, nil
}
