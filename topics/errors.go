package topics

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
)

// finals are Kafka's errors for those of the coordinator's that are final for a request about
// topics.
var finals = []struct {
	err  error
	kind *kerr.Error
}{
	{coordinator.ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{coordinator.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{coordinator.ErrTopicExists, kerr.TopicAlreadyExists},
	{coordinator.ErrPartitionCount, kerr.InvalidPartitions},
	{coordinator.ErrAssignmentTooLong, kerr.InvalidReplicaAssignment},
	{coordinator.ErrOffsetRange, kerr.OffsetOutOfRange},
}

// ErrorOf is what a client is told of an error of the node's. After NOT_CONTROLLER, admin clients
// look for a controller and try again there. It reports whether the error was foreseen: log it if
// not.
func ErrorOf(err error) (told *Error, foreseen bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e, true
	}
	for _, f := range finals {
		if errors.Is(err, f.err) {
			return &Error{Kind: f.kind, Message: err.Error(), cause: err}, true
		}
	}
	elsewhere := func(message string) (*Error, bool) {
		return &Error{Kind: kerr.NotController, Message: message, cause: err}, true
	}
	switch class := coordinator.ClassOf(err); {
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: kerr.RequestTimedOut, cause: err,
			Message: "not done in the time that the request allows; it may still be done, so look before you try again"}, true
	case errors.Is(err, context.Canceled), errors.Is(err, coordinator.ErrClosed):
		return elsewhere("this node is shutting down; try another")
	case errors.Is(err, coordinator.ErrFenced):
		return elsewhere("another process has taken over this node's bucket; try another node")
	case class == coordinator.ClassNewLife:
		return elsewhere("the cluster is recovering its state from the bucket; try again")
	case errors.Is(err, coordinator.ErrUnavailable):
		return elsewhere("the coordinator is not available; try again")
	}
	return &Error{Kind: kerr.UnknownServerError, Message: err.Error(), cause: err}, false
}
