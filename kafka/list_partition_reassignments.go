package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListPartitionReassignments, version 0, as Kafka 4: none is ever under way.
func init() { register(0, 0, listPartitionReassignments) }

func listPartitionReassignments(_ context.Context, _ *Server, _ *peer, req *kmsg.ListPartitionReassignmentsRequest) (
	kmsg.Response, error) {
	return req.ResponseKind(), nil
}
