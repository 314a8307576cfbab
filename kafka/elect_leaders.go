package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// ElectLeaders, versions 0 to 2, as Kafka 4: every partition has the leader that it should have, so
// each that is asked for is ELECTION_NOT_NEEDED. Of all partitions (null) Kafka answers for those
// alone that were not so: for none.
func init() {
	register(0, 2, electLeaders, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

// Election types.
const (
	preferredElection = 0
	uncleanElection   = 1
)

func electLeaders(_ context.Context, s *Server, from *peer,
	req *kmsg.ElectLeadersRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	if refused := from.mayWithCluster(access.Alter); refused != nil {
		resp.ErrorCode = refused.code()
		return resp, nil
	}
	if req.ElectionType != preferredElection && req.ElectionType != uncleanElection {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp, nil
	}
	for _, asked := range req.Topics {
		a := kmsg.ElectLeadersResponseTopic{Topic: asked.Topic}
		t := s.readable(asked.Topic)
		for _, index := range asked.Partitions {
			refused := refuse(kerr.ElectionNotNeeded, "any node serves the partition, and the right one leads it")
			if t == nil || index < 0 || index >= t.Partitions {
				refused = refuse(kerr.UnknownTopicOrPartition, "there is no partition %d of topic %q", index, asked.Topic)
			}
			a.Partitions = append(a.Partitions, kmsg.ElectLeadersResponseTopicPartition{
				Partition: index, ErrorCode: refused.code(), ErrorMessage: refused.text()})
		}
		resp.Topics = append(resp.Topics, a)
	}
	return resp, nil
}
