package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// query reads the parameters of a request and keeps the first thing that is wrong.
type query struct {
	values url.Values
	err    error
}

// queryOf reads the parameters of a request, of which there are known ones: a misspelt one would
// otherwise do silently something else.
func queryOf(r *http.Request, known ...string) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &query{url.Values{}, &problem{Status: http.StatusBadRequest, Detail: "the query is malformed: " + err.Error()}}
	}
	for name, given := range values {
		if !slices.Contains(known, name) {
			return &query{url.Values{}, invalid(name, "is not a parameter here; there are: %s", strings.Join(known, ", "))}
		}
		if len(given) > 1 {
			return &query{url.Values{}, invalid(name, "is given %d times", len(given))}
		}
	}
	return &query{values: values}
}

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// text is a parameter, or what it is without one.
func (q *query) text(name, otherwise string) string {
	if !q.values.Has(name) {
		return otherwise
	}
	return q.values.Get(name)
}

// number is a parameter from low to high.
func (q *query) number(name string, otherwise, low, high int64) int64 {
	if !q.values.Has(name) {
		return otherwise
	}
	n, err := strconv.ParseInt(q.values.Get(name), 10, 64)
	if err != nil || n < low || n > high {
		q.fail(invalid(name, "is %q; it has to be a number from %d to %d", q.values.Get(name), low, high))
		return otherwise
	}
	return n
}

// duration is a parameter like 30s or 500ms, or a number of seconds, from 0 to most.
func (q *query) duration(name string, most time.Duration) time.Duration {
	if !q.values.Has(name) {
		return 0
	}
	d, err := parseDuration(q.values.Get(name))
	if err != nil || d < 0 || d > most {
		q.fail(invalid(name, "is %q; it has to be a time from 0s to %s, like 30s, 500ms, or a number of seconds",
			q.values.Get(name), most))
		return 0
	}
	return d
}

// parseDuration reads a duration, or a number of seconds.
func parseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(text)
}

// namedTopic finds the topic that a path names.
func (s *Server) namedTopic(r *http.Request) (*coordinator.Topic, error) {
	return s.topicNamed(r.PathValue("topic"))
}

func (s *Server) topicNamed(name string) (*coordinator.Topic, error) {
	if t := s.view().Topic(name); t != nil {
		return t, nil
	}
	return nil, notFound(kerr.UnknownTopicOrPartition, "there is no topic %q", name)
}

// namedPartition finds the partition that a path names.
func (s *Server) namedPartition(r *http.Request) (*coordinator.Topic, segments.Partition, error) {
	t, err := s.namedTopic(r)
	if err != nil {
		return nil, segments.Partition{}, err
	}
	text := r.PathValue("partition")
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || n >= int64(t.Partitions) {
		return nil, segments.Partition{}, notFound(kerr.UnknownTopicOrPartition,
			"there is no partition %q of topic %q, which has %d", text, t.Name, t.Partitions)
	}
	return t, segments.Partition{Topic: t.ID, Index: int32(n)}, nil
}
