package kafka

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// These are about the bytes that the parts of an answer take while it is made: kmsg's structs, and
// their sources.
const (
	describedTopicBytes     = 256
	describedPartitionBytes = 192
	replicaBytes            = 12 // the structure, and its encoding twice: replicas and ISR
	describedConfigBytes    = 256
	describedGroupBytes     = 320
	committedOffsetBytes    = 256
	describedProducerBytes  = 128
)

// bound is about how much memory the handler of a request needs for its answer. It matters for
// those that say little and get a long answer: they wait for room before anything is made. The
// memory that an answer takes in the end is counted when it is there, before it is encoded
// (answerBytes).
func (s *Server) bound(req kmsg.Request) int64 {
	switch req := req.(type) {
	case *kmsg.MetadataRequest:
		return s.metadataBound(req)
	case *kmsg.DescribeTopicPartitionsRequest:
		const page = maxPagePartitions * (describedPartitionBytes + MaxReplicas*replicaBytes)
		return int64(len(req.Topics)+s.topicCount(len(req.Topics) == 0))*describedTopicBytes/4 + page
	case *kmsg.DescribeLogDirsRequest:
		if req.Topics != nil {
			return 0 // no longer than the request
		}
		return s.allTopicsBound()
	case *kmsg.DescribeConfigsRequest:
		return s.configsBound(req)
	case *kmsg.ListConfigResourcesRequest:
		configured := s.opts.Node.View().SettingsCount(coordinator.ConfigSetting)
		return int64(s.topicCount(true))*describedTopicBytes + int64(configured)*describedGroupBytes
	case *kmsg.CreateTopicsRequest:
		return int64(min(len(req.Topics), s.opts.Topics.MaxPartitions)) * int64(configCount) * describedConfigBytes
	case *kmsg.ListGroupsRequest:
		return int64(s.opts.Groups.GroupCount()) * describedGroupBytes
	case *kmsg.DescribeGroupsRequest:
		return s.groupsBound(len(req.Groups))
	case *kmsg.ConsumerGroupDescribeRequest:
		return s.groupsBound(len(req.Groups))
	case *kmsg.ShareGroupDescribeRequest:
		return s.groupsBound(len(req.GroupIDs))
	case *kmsg.OffsetFetchRequest:
		return s.offsetsBound(req)
	case *kmsg.DescribeShareGroupOffsetsRequest:
		return s.sharesBound(req)
	case *kmsg.DescribeProducersRequest:
		return s.producersBound(req)
	}
	return 0
}

// computes says whether answering a request takes nothing but the cores: it waits for nobody.
func computes(req kmsg.Request) bool {
	switch req := req.(type) {
	case *kmsg.MetadataRequest:
		return len(req.Topics) == 0 // others may have to be created
	case *kmsg.DescribeTopicPartitionsRequest, *kmsg.DescribeLogDirsRequest, *kmsg.DescribeConfigsRequest,
		*kmsg.DescribeProducersRequest, *kmsg.ListGroupsRequest:
		return true
	}
	return false
}

func (s *Server) metadataBound(req *kmsg.MetadataRequest) (n int64) {
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		return s.allTopicsBound()
	}
	for i := range req.Topics {
		n += describedTopicBytes
		t := s.readableByID(req.Topics[i].TopicID)
		if name := req.Topics[i].Topic; name != nil {
			t = s.readable(*name)
		}
		if t != nil {
			n += s.partitionsBound(t)
		}
	}
	return n
}

func (s *Server) allTopicsBound() (n int64) {
	for _, t := range s.listed() {
		n += describedTopicBytes + s.partitionsBound(t)
	}
	return n
}

func (s *Server) partitionsBound(t *coordinator.Topic) int64 {
	most := s.replicationFactor(t)
	for i := range t.Assignment {
		most = max(most, s.declared(t, int32(i)).count)
	}
	return int64(t.Partitions) * (describedPartitionBytes + int64(most)*replicaBytes)
}

func (s *Server) topicCount(all bool) int {
	if !all {
		return 0
	}
	return s.opts.Node.View().TopicCount()
}

func (s *Server) configsBound(req *kmsg.DescribeConfigsRequest) (n int64) {
	for i := range req.Resources {
		r := &req.Resources[i]
		if r.ResourceType != kmsg.ConfigResourceTypeTopic || s.readable(r.ResourceName) != nil {
			n += int64(configCount) * describedConfigBytes
		}
		n += describedTopicBytes
	}
	return n
}

// configCount is how many configs a topic has.
var configCount = len(topicconfig.All())

// groupsBound is for the description of some groups: what their members have sent is not copied
// until it is encoded.
func (s *Server) groupsBound(groups int) int64 {
	members := min(s.opts.Groups.MemberBytes(), int64(groups)*int64(s.opts.Groups.Limits().GroupBytes))
	return members + int64(groups)*describedGroupBytes
}

func (s *Server) offsetsBound(req *kmsg.OffsetFetchRequest) (n int64) {
	add := func(group string, topics, partitions int, all bool) {
		if all {
			partitions = s.opts.Node.View().CommittedCount(group)
		}
		n += describedGroupBytes + int64(topics)*describedTopicBytes + int64(partitions)*committedOffsetBytes
	}
	if req.Version < 8 {
		partitions := 0
		for i := range req.Topics {
			partitions += len(req.Topics[i].Partitions)
		}
		add(req.Group, len(req.Topics), partitions, req.Topics == nil)
	}
	for i := range req.Groups {
		g, partitions := &req.Groups[i], 0
		for j := range g.Topics {
			partitions += len(g.Topics[j].Partitions)
		}
		add(g.Group, len(g.Topics), partitions, g.Topics == nil)
	}
	return n
}

func (s *Server) sharesBound(req *kmsg.DescribeShareGroupOffsetsRequest) (n int64) {
	for _, asked := range firstOfEach(req.Groups) {
		partitions := 0
		for i := range asked.Topics {
			partitions += len(asked.Topics[i].Partitions)
		}
		if asked.Topics == nil {
			partitions = s.opts.Node.View().CommittedCount(asked.GroupID)
		}
		n += describedGroupBytes + int64(len(asked.Topics))*describedTopicBytes + int64(partitions)*committedOffsetBytes
	}
	return n
}

func (s *Server) producersBound(req *kmsg.DescribeProducersRequest) (n int64) {
	view := s.opts.Node.View()
	for _, asked := range req.Topics {
		t := view.Topic(asked.Topic)
		for _, index := range asked.Partitions {
			n += describedPartitionBytes
			if t != nil {
				n += int64(view.ProducerCount(segments.Partition{Topic: t.ID, Index: index})) * describedProducerBytes
			}
		}
	}
	return n
}

// answerBytes is how long an answer is at most, encoded, and how much memory it takes together with
// its encoding.
func answerBytes(resp kmsg.Response) (encoded, memory int64) {
	var m measured
	m.value(reflect.ValueOf(resp).Elem())
	return m.encoded, m.encoded + m.structs
}

// measured adds up the parts of an answer.
type measured struct{ encoded, structs int64 }

// prefixBytes is what the length of a string or an array takes at most, and tagsBytes what tagged
// fields take that are not there.
const (
	prefixBytes = 5
	tagsBytes   = 1
)

var tagsType = reflect.TypeFor[kmsg.Tags]()

func (m *measured) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		m.encoded += prefixBytes + int64(v.Len())
	case reflect.Pointer:
		m.encoded += prefixBytes
		if !v.IsNil() {
			m.structs += int64(v.Type().Elem().Size())
			m.value(v.Elem())
		}
	case reflect.Slice:
		m.slice(v)
	case reflect.Struct:
		if v.Type() == tagsType {
			m.encoded += tagsBytes
			return
		}
		m.encoded += 2 * prefixBytes // a struct may be a tagged field
		for i := range v.NumField() {
			m.value(v.Field(i))
		}
	default:
		m.encoded += int64(v.Type().Size())
	}
}

func (m *measured) slice(v reflect.Value) {
	m.encoded += prefixBytes
	elem := v.Type().Elem()
	if kind := elem.Kind(); kind != reflect.Struct && kind != reflect.String && kind != reflect.Slice &&
		kind != reflect.Pointer {
		m.encoded += int64(v.Len()) * int64(elem.Size()) // numbers and bytes
		return
	}
	m.structs += int64(v.Cap()) * int64(elem.Size())
	for i := range v.Len() {
		m.value(v.Index(i))
	}
}
