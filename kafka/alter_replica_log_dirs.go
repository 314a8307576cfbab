package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// AlterReplicaLogDirs, versions 1 and 2, as Kafka 4. The only directory is the one that
// DescribeLogDirs names, and everything is there already: to move a partition to it is done, to any
// other LOG_DIR_NOT_FOUND. A partition that does not exist is REPLICA_NOT_AVAILABLE.
func init() {
	register(1, 2, alterReplicaLogDirs, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

func alterReplicaLogDirs(_ context.Context, s *Server, from *peer,
	req *kmsg.AlterReplicaLogDirsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	refused := from.mayWithCluster(access.Alter)
	for _, dir := range req.Dirs {
		for _, asked := range dir.Topics {
			a := kmsg.AlterReplicaLogDirsResponseTopic{Topic: asked.Topic}
			t := s.readable(asked.Topic)
			for _, index := range asked.Partitions {
				p := kmsg.AlterReplicaLogDirsResponseTopicPartition{Partition: index}
				switch {
				case refused != nil:
					p.ErrorCode = refused.code()
				case dir.Dir != bucketDir:
					p.ErrorCode = kerr.LogDirNotFound.Code
				case t == nil || index < 0 || index >= t.Partitions:
					p.ErrorCode = kerr.ReplicaNotAvailable.Code
				}
				a.Partitions = append(a.Partitions, p)
			}
			resp.Topics = append(resp.Topics, a)
		}
	}
	return resp, nil
}
