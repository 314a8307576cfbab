package kafka

import (
	"context"
	"iter"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/groups"
	"firn.dev/segments"
)

// This file has what the APIs of consumer groups share. Package groups decides; here its answers
// get Kafka's shape.

// codeOf is the number of an error, 0 for nil.
func codeOf(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}

// textOf is an error in words, nil for nil.
func textOf(err *kerr.Error) *string {
	if err == nil {
		return nil
	}
	return &err.Description
}

// distinct yields each of the groups that a request names once, in their order.
func distinct(groups []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		seen := make(map[string]bool, len(groups))
		for _, group := range groups {
			if !seen[group] && !yield(group) {
				return
			}
			seen[group] = true
		}
	}
}

// orEmpty is a string that may be null.
func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// orNull is a string that is null if it is empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// untilDraining returns a context that ends when the server begins to stop: for requests that wait
// for other clients, who may never come.
func (s *Server) untilDraining(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.serving, cancel)
	return ctx, func() { stop(); cancel() }
}

// clientHost is the client's address as Kafka shows it to tools.
func (p *peer) clientHost() string {
	host, _, err := net.SplitHostPort(p.Address)
	if err != nil {
		host = p.Address
	}
	return "/" + host
}

// describedMember is a member as DescribeGroups shows it.
func describedMember(m *groups.Member) kmsg.DescribeGroupsResponseGroupMember {
	a := kmsg.NewDescribeGroupsResponseGroupMember()
	a.MemberID, a.InstanceID, a.ClientID, a.ClientHost = m.ID, orNull(m.InstanceID), m.ClientID, m.ClientHost
	a.ProtocolMetadata, a.MemberAssignment = m.Metadata, m.Assignment
	return a
}

// byTopic walks over partitions that are ordered, topic by topic.
func byTopic(partitions []segments.Partition) iter.Seq2[segments.TopicID, []int32] {
	return func(yield func(segments.TopicID, []int32) bool) {
		for len(partitions) > 0 {
			topic := partitions[0].Topic
			var indexes []int32
			for len(partitions) > 0 && partitions[0].Topic == topic {
				indexes, partitions = append(indexes, partitions[0].Index), partitions[1:]
			}
			if !yield(topic, indexes) {
				return
			}
		}
	}
}
