package kafka

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/ingest"
	"firn.dev/segments/batch"
)

// incomingBatch is what a batch is checked against.
type incomingBatch struct {
	topic   *coordinator.Topic
	config  *topicconfig.Config
	version int16 // of the Produce request
	now     time.Time

	protocol      coordinator.Protocol // of transactional batches
	noTransaction *refusal             // why they are refused; nil: they are not
}

// zstdSince is the first Produce version whose batches may be zstd (KIP-110).
const zstdSince = 7

// checkBatch checks what a producer sent for one partition and returns it as it is to be stored: as
// it came, unless the topic wants another codec or its own timestamps, it came uncompressed and
// shrinks, or its header does not name the largest timestamp of its records.
func (s *Server) checkBatch(in *incomingBatch, part producePartition) (ingest.Batch, *refusal) {
	partition, ok := partitionOf(in.topic, part.Index)
	if !ok {
		return ingest.Batch{}, refuse(
			kerr.UnknownTopicOrPartition,
			"topic %q has no partition %d",
			in.topic.Name,
			part.Index,
		)
	}
	header, refused := in.check(part.Records)
	if refused != nil {
		return ingest.Batch{}, refused
	}
	b := ingest.Batch{Partition: partition, Header: header, Bytes: part.Records}
	if header.Attributes.Transactional() {
		b.Protocol = in.protocol
	}
	return s.prepare(in, b)
}

// check checks everything that the header of a batch says, and its CRC.
func (in *incomingBatch) check(records []byte) (batch.Header, *refusal) {
	if len(records) == 0 {
		return batch.Header{}, refuse(kerr.InvalidRecord, "there must be one record batch for each partition")
	}
	if first, err := batch.ReadHeader(records); err == nil && first.Size() < len(records) {
		return first, refuse(
			kerr.InvalidRecord,
			"there must be one record batch for each partition; %d bytes follow the first",
			len(records)-first.Size(),
		)
	}
	h, err := batch.Check(records)
	if err != nil {
		return h, unsound(err)
	}
	switch {
	case h.Size() > int(in.config.MaxMessageBytes):
		return h, refuse(
			kerr.MessageTooLarge,
			"batch of %d bytes; %s is %d",
			h.Size(),
			topicconfig.MaxMessageBytes,
			in.config.MaxMessageBytes,
		)
	case h.Attributes.Control():
		return h, refuse(kerr.InvalidRecord, "clients must not write control batches")
	case h.Attributes.Transactional() && in.noTransaction != nil:
		return h, in.noTransaction
	case h.Attributes.Transactional() && h.ProducerID < 0:
		return h, refuse(kerr.InvalidRecord, "a transactional batch without a producer id")
	case h.ProducerID >= 0 && (h.BaseSequence < 0 || h.ProducerEpoch < 0):
		return h, refuse(
			kerr.InvalidRecord,
			"producer id %d with epoch %d and sequence %d",
			h.ProducerID,
			h.ProducerEpoch,
			h.BaseSequence,
		)
	case h.Attributes.Codec() > batch.Zstd, h.Attributes.Codec() == batch.Zstd && in.version < zstdSince:
		return h, refuse(
			kerr.UnsupportedCompressionType,
			"codec %d in Produce version %d",
			h.Attributes.Codec(),
			in.version,
		)
	}
	return h, nil
}

// unsound is the answer for a batch that fails batch.Check. Batches of the old formats v0 and v1
// get the answer of brokers 4.x.
func unsound(err error) *refusal {
	switch {
	case errors.Is(err, batch.ErrMagic):
		return refuse(kerr.InvalidRecord, "%v; Kafka 4 takes no other", err)
	case errors.Is(err, batch.ErrCRC):
		return refuse(kerr.CorruptMessage, "%v", err)
	}
	return refuse(kerr.InvalidRecord, "%v", err)
}
