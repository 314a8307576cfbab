package kafka

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/budget"
)

// API is a row of the register, for tests that go through all of them: ApiVersions announces more
// versions of Produce than are served, and nothing about rights.
type API struct {
	Key      kmsg.Key
	Min, Max int16
	Open     bool
	Needs    []access.Need
}

// APIs returns the register.
func APIs() (all []API) {
	for _, a := range apis {
		all = append(all, API{Key: a.key, Min: a.minVersion, Max: a.maxVersion, Open: a.open, Needs: a.needs})
	}
	slices.SortFunc(all, func(a, b API) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

const (
	// FirstStepBytes is what a connection may take for a request of which nothing has arrived.
	FirstStepBytes = firstStepBytes
	// MaxProducePartitions is how many partitions a Produce request may name.
	MaxProducePartitions = maxProducePartitions
)

// Requests and Answers are the memory of requests and answers. The metrics show what connections
// have of their own together with what they share.
func (s *Server) Requests() *budget.Pool { return s.requests }
func (s *Server) Answers() *budget.Pool  { return s.answers }

// OpenConnections is how many there are, for tests that wait for that with hundreds of them.
func (s *Server) OpenConnections() int { return s.openConnections() }

// AnswerBound is what the answer to a request may take, as long as it is not made.
func (s *Server) AnswerBound(req kmsg.Request) int64 { return s.bound(req) }
