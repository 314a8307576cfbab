package kafka

import (
	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Kafka keeps state of its own in internal topics. Firn keeps it in facts, but tools look for the
// topics. So two of them are there, with one partition each, for reading: __consumer_offsets is
// made of what groups have committed (offsets_topic.go), and __transaction_state is empty. Neither
// can be created, changed, deleted or written. A group that reads them commits offsets, which are
// not in __consumer_offsets: so reading the topic does not add to it.

// offsetsTopic is __consumer_offsets.
var offsetsTopic = internalTopic("__consumer_offsets")

// transactionsTopic is __transaction_state. Transactions are listed and described by APIs.
var transactionsTopic = internalTopic("__transaction_state")

func internalTopic(name string) *coordinator.Topic {
	return &coordinator.Topic{Name: name, ID: coordinator.InternalTopicID(name), Partitions: 1,
		Configs: map[string]string{"cleanup.policy": "compact"}}
}

// isInternal says that a topic that can be read is one of the internal ones.
func isInternal(id segments.TopicID) bool { return id == offsetsTopic.ID || id == transactionsTopic.ID }

// readable returns the topic of a name, also an internal one; nil if there is none.
func (s *Server) readable(name string) *coordinator.Topic {
	switch name {
	case offsetsTopic.Name:
		return offsetsTopic
	case transactionsTopic.Name:
		return transactionsTopic
	}
	return s.opts.Node.View().Topic(name)
}

// readableByID is readable for the id of a topic.
func (s *Server) readableByID(id segments.TopicID) *coordinator.Topic {
	switch id {
	case offsetsTopic.ID:
		return offsetsTopic
	case transactionsTopic.ID:
		return transactionsTopic
	}
	return s.opts.Node.View().TopicByID(id)
}

// listed returns all topics, the internal ones once there is something that they are about: Kafka
// creates them then.
func (s *Server) listed() []*coordinator.Topic {
	view := s.opts.Node.View()
	all := view.Topics()
	if view.GroupCount() > 0 {
		all = append(all, offsetsTopic)
	}
	if view.TransactionalIDCount() > 0 {
		all = append(all, transactionsTopic)
	}
	return all
}

// readablePartition is partition for handlers that only read.
func (s *Server) readablePartition(topic string, number, epoch int32) (segments.Partition, coordinator.PartitionInfo,
	*refusal) {
	t := s.readable(topic)
	if t == nil || !isInternal(t.ID) {
		return s.partition(topic, number, epoch)
	}
	at := segments.Partition{Topic: t.ID, Index: number}
	info, there := s.readableInfo(at)
	if !there {
		return at, info, noPartition(number)
	}
	return at, info, checkLeaderEpoch(epoch)
}

// readableInfo says where a partition stands, also of an internal topic.
func (s *Server) readableInfo(at segments.Partition) (coordinator.PartitionInfo, bool) {
	if !isInternal(at.Topic) {
		return s.opts.Node.View().Partition(at)
	}
	var info coordinator.PartitionInfo
	if at.Topic == offsetsTopic.ID {
		info.HighWatermark = s.commits.end()
		info.LastStable = info.HighWatermark
	}
	return info, at.Index == 0
}
