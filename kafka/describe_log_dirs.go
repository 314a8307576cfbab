package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/segments"
)

// DescribeLogDirs, versions 0 to 5, as Kafka 4 (0 is older).
//
//   - There is one directory, the bucket, of unknown capacity. A node answers for the partitions
//     that it leads, so that those who add up the answers of all nodes count every partition once;
//     a client that names a zone sees no other leaders here.
//   - A size is what the partition's records take in the bucket, from the log start to the high
//     watermark, as they are stored there.
//   - Partitions that do not exist, or are led elsewhere, are left out of the answer. So are those
//     of internal topics, which have nothing in the bucket.
func init() {
	register(0, 5, describeLogDirs, rules{
		needs: []access.Need{access.Describe.On(access.Cluster)}, quota: access.Requests})
}

// bucketDir is what the one log directory is called.
const bucketDir = "/bucket"

func describeLogDirs(_ context.Context, s *Server, from *peer,
	req *kmsg.DescribeLogDirsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	if refused := from.mayWithCluster(access.Describe); refused != nil {
		resp.ErrorCode = refused.code()
		return resp, nil
	}
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = bucketDir
	view := s.opts.Node.View()
	add := func(t *coordinator.Topic, partitions []int32) {
		topic := kmsg.NewDescribeLogDirsResponseDirTopic()
		topic.Topic = t.Name
		if topic.Partitions = s.sizesOf(t, partitions); len(topic.Partitions) > 0 {
			dir.Topics = append(dir.Topics, topic)
		}
	}
	for _, asked := range req.Topics {
		if t := view.Topic(asked.Topic); t != nil {
			add(t, asked.Partitions)
		}
	}
	if req.Topics == nil {
		for _, t := range view.Topics() {
			add(t, allPartitions(t))
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return resp, nil
}

// sizesOf returns the sizes of those of the partitions that this node leads.
func (s *Server) sizesOf(t *coordinator.Topic, partitions []int32) []kmsg.DescribeLogDirsResponseDirTopicPartition {
	nodes, self := s.opts.Node.Nodes(), s.opts.Node.Info().ID
	place := placement{nodes, nodes}
	var sizes []kmsg.DescribeLogDirsResponseDirTopicPartition
	for _, number := range partitions {
		at := segments.Partition{Topic: t.ID, Index: number}
		info, ok := s.opts.Node.View().Partition(at)
		if leader, _ := place.of(at, s.declared(t, number)); !ok || leader != self {
			continue
		}
		size := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		size.Partition, size.Size = number, info.Bytes
		sizes = append(sizes, size)
	}
	return sizes
}

func allPartitions(t *coordinator.Topic) []int32 {
	all := make([]int32, t.Partitions)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}
