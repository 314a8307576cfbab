package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator/security"
	"firn.dev/ingest"
	"firn.dev/topics"
)

// refusal is why something was not done: Kafka's error, and what to do about it in words for
// people.
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

// refusalsOf is refusalOf for each of several errors.
func (s *Server) refusalsOf(errs []error) []*refusal {
	refusals := make([]*refusal, len(errs))
	for i, err := range errs {
		refusals[i] = s.refusalOf(err)
	}
	return refusals
}

// refusalOf maps err to the refusal that a client gets; nil for nil. Unforeseen errors are logged
// as well.
func (s *Server) refusalOf(err error) *refusal {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*security.Error](err); ok {
		return &refusal{kind: e.Kind, message: e.Message}
	}
	told, foreseen := topics.ErrorOf(err)
	if !foreseen {
		s.opts.Logger.Error("request failed", "error", err)
	}
	return &refusal{kind: told.Kind, message: told.Message}
}
