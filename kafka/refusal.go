package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/ingest"
	"firn.dev/topics"
)

// refusal is why something was not done: Kafka's error, and what to do about it in words for people.
type refusal struct {
	kind    *kerr.Error
	message string
	records []ingest.RecordError // of a batch, which it is about; nil: all of them
}

func refuse(kind *kerr.Error, format string, args ...any) *refusal {
	return &refusal{kind: kind, message: fmt.Sprintf(format, args...)}
}

func (r *refusal) Error() string { return r.kind.Message + ": " + r.message }

// code is Kafka's number of the error, 0 for nil.
func (r *refusal) code() int16 {
	if r == nil {
		return 0
	}
	return r.kind.Code
}

// text is the message as responses carry it, nil for nil.
func (r *refusal) text() *string {
	if r == nil {
		return nil
	}
	return &r.message
}

// kinds says as which of Kafka's errors a client gets to know an error of another room. After those of the second group, admin
// clients look for a controller and try again there.
var kinds = []struct {
	err     error
	kind    *kerr.Error
	message string // empty: that of err
}{
	{coordinator.ErrUnknownTopic, kerr.UnknownTopicOrPartition, ""},
	{coordinator.ErrUnknownPartition, kerr.UnknownTopicOrPartition, ""},
	{coordinator.ErrTopicExists, kerr.TopicAlreadyExists, ""},
	{coordinator.ErrPartitionCount, kerr.InvalidPartitions, ""},
	{coordinator.ErrOffsetRange, kerr.OffsetOutOfRange, ""},

	{context.DeadlineExceeded, kerr.RequestTimedOut, "not done in the time that the request allows; it may still be done, so look before you try again"},
	{context.Canceled, kerr.NotController, "this node is shutting down; try another"},
	{coordinator.ErrClosed, kerr.NotController, "this node is shutting down; try another"},
	{coordinator.ErrFenced, kerr.NotController, "another process has taken over this node's bucket; try another node"},
	{coordinator.ErrIncarnation, kerr.NotController, "the cluster is recovering its state from the bucket; try again"},
	{coordinator.ErrUnavailable, kerr.NotController, "the coordinator is not available; try again"},
	{coordinator.ErrNotOpen, kerr.NotController, "the cluster is recovering its state from the bucket; try again"},
}

// refusalOf is how a client gets to know err; nil for nil. Errors that nobody foresaw are logged as well.
func (s *Server) refusalOf(err error) *refusal {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*topics.Error](err); ok {
		return &refusal{kind: e.Kind, message: e.Message}
	}
	for _, k := range kinds {
		if !errors.Is(err, k.err) {
			continue
		}
		if k.message != "" {
			return &refusal{kind: k.kind, message: k.message}
		}
		return &refusal{kind: k.kind, message: err.Error()}
	}
	s.opts.Logger.Error("request failed", "error", err)
	return &refusal{kind: kerr.UnknownServerError, message: err.Error()}
}
