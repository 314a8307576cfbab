package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn/ingest"
	"firn/segments/batch"
)

// prepare makes of a sound batch what is to be stored.
func (s *Server) prepare(in *incomingBatch, b ingest.Batch) (ingest.Batch, *refusal) {
	b, err := s.preparer.Prepare(b, in.config, in.now)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, batch.ErrTooLarge):
		return b, refuse(kerr.MessageTooLarge, "%v", err)
	case errors.Is(err, ingest.ErrNoKey):
		return b, refuse(kerr.InvalidRecord, "topic %q: %v", in.topic.Name, err)
	}
	return b, refuse(kerr.InvalidRecord, "%v", err)
}
