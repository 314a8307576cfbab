package kafka

import (
	"context"
	"errors"

	"firn.dev/budget"
)

// smallAnswerBytes is what a Fetch response may have when memory is short: as much as a connection
// may hold of the reserve.
const smallAnswerBytes = 256 << 10

// requestMemory is how requests share RequestMemoryBytes.
func (l *Limits) requestMemory() budget.Options {
	return budget.Options{Limit: "RequestMemoryBytes", Bytes: l.RequestMemoryBytes, Own: l.ConnectionBytes,
		Largest: min(int64(l.MaxRequestBytes)+maxProducePartitions*producePartitionBytes, l.RequestMemoryBytes)}
}

// answerMemory is how answers share AnswerMemoryBytes.
func (l *Limits) answerMemory() budget.Options {
	return budget.Options{Limit: "AnswerMemoryBytes", Bytes: l.AnswerMemoryBytes, Own: l.ConnectionBytes,
		Largest: int64(max(l.FetchMaxBytes, l.MaxRequestBytes))}
}

// takeMemory waits, though not for ever, for n more bytes for a request or an answer.
func (s *Server) takeMemory(ctx context.Context, hold *budget.Hold, n int64) error {
	if hold.TryGrow(n) {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Limits.ReadTimeout, errors.New("timed out"))
	defer cancel()
	return hold.Grow(ctx, n)
}
