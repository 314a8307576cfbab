package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/ingest"
	"firn.dev/segments/batch"
)

// prepare makes the batch to store of a batch that passed its checks. It answers bad records as
// Kafka does: with INVALID_TIMESTAMP if the timestamp of one is wrong, and else with INVALID_RECORD
// and the list of bad records (KIP-467). A batch that cannot be decompressed is an INVALID_RECORD
// as well. Kafka answers UNKNOWN_SERVER_ERROR, which clients take for final too; CORRUPT_MESSAGE
// would make them send it again and again.
func (s *Server) prepare(in *incomingBatch, b ingest.Batch) (ingest.Batch, *refusal) {
	b, err := s.preparer.Prepare(b, in.config, in.now)
	if err == nil {
		return b, nil
	}
	kind := kerr.InvalidRecord
	switch {
	case errors.Is(err, batch.ErrTooLarge):
		kind = kerr.MessageTooLarge
	case errors.Is(err, ingest.ErrTimestamp):
		kind = kerr.InvalidTimestamp
	}
	refused := refuse(kind, "topic %q: %v", in.topic.Name, err)
	if bad, ok := errors.AsType[*ingest.RecordErrors](err); ok {
		refused.records = bad.Named
	}
	return b, refused
}
