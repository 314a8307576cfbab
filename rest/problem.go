package rest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/index"
	"firn.dev/topics"
)

// problem is an error as clients get it (RFC 9457). Its type is about:blank, which is left out: the
// status says it all.
type problem struct {
	Title  string `json:"title"` // the status in words
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code,omitempty"`   // Kafka's name of the error, where it has one
	Field  string `json:"field,omitempty"`  // of the request: what is wrong, or beyond its limit
	Record *int   `json:"record,omitempty"` // which record of a produce request is wrong, from 0 on
	// all that are wrong, if several are: without them the others may be written; at most
	// maxBadRecords
	BadRecords []badRecord `json:"bad_records,omitempty"`
	Limit      string      `json:"limit,omitempty"`   // the limit that stands in the way
	Reasons    []string    `json:"reasons,omitempty"` // why /readyz says no

	Claims  []claimAnswer  `json:"claims,omitempty"`  // what became of each claim, if not all were refused
	Records []recordAnswer `json:"records,omitempty"` // what became of each record, if not all were acknowledged

	// The range that there is, of an offset that lies outside of it.
	LogStart      *int64 `json:"log_start_offset,omitempty"`
	HighWatermark *int64 `json:"high_watermark,omitempty"`

	challenges []string      // as headers WWW-Authenticate: how the client may log in
	retryAfter time.Duration // as a header: when it may be better; zero: it will not
}

// badRecord is what is wrong with one record of a produce request.
type badRecord struct {
	Record int    `json:"record"` // from 0 on
	Field  string `json:"field,omitempty"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail"`
}

// maxBadRecords is how many records a problem names.
const maxBadRecords = 1000

func (p *problem) Error() string { return http.StatusText(p.Status) + ": " + p.Detail }

// invalid is a request with something wrong in it.
func invalid(field, format string, args ...any) *problem {
	return &problem{Status: http.StatusBadRequest, Field: field, Detail: field + " " + fmt.Sprintf(format, args...)}
}

// notFound is a request for something that does not exist.
func notFound(code *kerr.Error, format string, args ...any) *problem {
	return &problem{Status: http.StatusNotFound, Code: code.Message, Detail: fmt.Sprintf(format, args...)}
}

// busy is a request that a limit leaves no room for now.
func busy(field, format string, args ...any) *problem {
	return &problem{Status: http.StatusTooManyRequests, Field: field, Detail: fmt.Sprintf(format, args...),
		retryAfter: time.Second}
}

// kafkaStatus is the status for an error of Kafka's; those that are not here are a bad request.
var kafkaStatus = map[*kerr.Error]int{
	kerr.UnknownTopicOrPartition:    http.StatusNotFound,
	kerr.UnknownTopicID:             http.StatusNotFound,
	kerr.GroupIDNotFound:            http.StatusNotFound,
	kerr.ResourceNotFound:           http.StatusNotFound,
	kerr.TopicAlreadyExists:         http.StatusConflict,
	kerr.NonEmptyGroup:              http.StatusConflict,
	kerr.InconsistentGroupProtocol:  http.StatusConflict,
	kerr.GroupSubscribedToTopic:     http.StatusConflict,
	kerr.FencedMemberEpoch:          http.StatusConflict,
	kerr.InvalidRecordState:         http.StatusConflict,
	kerr.StaleMemberEpoch:           http.StatusConflict,
	kerr.IllegalGeneration:          http.StatusConflict,
	kerr.UnknownMemberID:            http.StatusConflict,
	kerr.RebalanceInProgress:        http.StatusConflict,
	kerr.OffsetOutOfRange:           http.StatusRequestedRangeNotSatisfiable,
	kerr.GroupMaxSizeReached:        http.StatusTooManyRequests,
	kerr.NotCoordinator:             http.StatusServiceUnavailable,
	kerr.CoordinatorNotAvailable:    http.StatusServiceUnavailable,
	kerr.CoordinatorLoadInProgress:  http.StatusServiceUnavailable,
	kerr.RequestTimedOut:            http.StatusServiceUnavailable,
	kerr.NotController:              http.StatusServiceUnavailable,
	kerr.KafkaStorageError:          http.StatusServiceUnavailable,
	kerr.UnknownServerError:         http.StatusInternalServerError,
	kerr.PolicyViolation:            http.StatusForbidden,
	kerr.TopicAuthorizationFailed:   http.StatusForbidden,
	kerr.GroupAuthorizationFailed:   http.StatusForbidden,
	kerr.ClusterAuthorizationFailed: http.StatusForbidden,
	kerr.RecordListTooLarge:         http.StatusRequestEntityTooLarge,
	kerr.MessageTooLarge:            http.StatusRequestEntityTooLarge,
}

// problemOf makes err the problem document that a client gets. Errors that nobody foresaw are
// logged as well.
func (s *Server) problemOf(err error) problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return *p
	}
	if k, ok := errors.AsType[*kerr.Error](err); ok {
		return kafkaProblem(k, "")
	}
	switch {
	case errors.Is(err, index.ErrOffsetOutOfRange):
		return kafkaProblem(kerr.OffsetOutOfRange, err.Error())
	case errors.Is(err, index.ErrCorrupt):
		return problem{Status: http.StatusInternalServerError, Code: kerr.KafkaStorageError.Message, Detail: err.Error()}
	}
	if e, ok := errors.AsType[*security.Error](err); ok {
		return kafkaProblem(e.Kind, e.Message)
	}
	told, foreseen := topics.ErrorOf(err)
	if !foreseen {
		s.opts.Logger.Error("an HTTP request failed", "error", err)
	}
	return topicProblem(told)
}

// topicProblem is why a topic is not changed.
func topicProblem(e *topics.Error) problem {
	p := kafkaProblem(e.Kind, e.Message)
	p.Field, p.Limit = e.Field, e.Limit
	if errors.Is(e, coordinator.ErrPartitionCount) { // what is wrong is not the number, but what there is
		p.Status = http.StatusConflict
	}
	return p
}

// kafkaProblem is the problem for one of Kafka's errors, with Kafka's words for it unless there are
// better ones.
func kafkaProblem(k *kerr.Error, detail string) problem {
	known, _ := kerr.ErrorForCode(k.Code).(*kerr.Error) // k may have a text of its own
	status := kafkaStatus[known]
	if status == 0 {
		status = http.StatusBadRequest
	}
	if detail == "" {
		detail = k.Description
	}
	return retryable(problem{Status: status, Code: k.Message, Detail: detail})
}

// retryable says when to try again, of what passes.
func retryable(p problem) problem {
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		p.retryAfter = time.Second
	}
	return p
}

// fail answers with a problem.
func fail(w http.ResponseWriter, p problem) {
	p.Title = http.StatusText(p.Status)
	p.advise(w.Header())
	answerWhole(w, p.Status, "application/problem+json", p)
}

// answerWhole is answer for what is short. Its length is said before it, so that it is complete for
// the client even while lingering goes on.
func answerWhole(w http.ResponseWriter, status int, contentType string, v any) {
	var body bytes.Buffer
	// an error is not possible: nothing that is answered can fail to be JSON
	_ = json.MarshalWrite(&body, v, jsonv1.DefaultOptionsV1(), jsontext.WithIndent("  "))
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // an error means that the client has gone
}

// advise says in the header how to log in, and when to try again.
func (p *problem) advise(h http.Header) {
	for _, challenge := range p.challenges {
		h.Add("WWW-Authenticate", challenge)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(max(p.retryAfter, time.Second)/time.Second)))
	}
}

// answer writes v as JSON for people to read too, piece by piece: the text of a long list is never
// in memory as a whole.
func answer(w http.ResponseWriter, status int, contentType string, v any) {
	answerAs(w, status, contentType, v, jsontext.WithIndent("  "))
}

// answerAs is answer with the form in which the JSON is to be.
func answerAs(w http.ResponseWriter, status int, contentType string, v any, form jsontext.Options) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	out := jsontext.NewEncoder(w, form)
	// An error means that the client has gone: nothing that is answered can fail to be JSON.
	_ = json.MarshalEncode(out, v, jsonv1.DefaultOptionsV1())
}
