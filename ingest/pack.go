package ingest

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Record is a record on its way in from producers that bring no batches of their own.
type Record struct {
	Partition int32  // negative: by Key, as Kafka's own clients do it; without Key, PackOptions.Spread says which
	Key       []byte // nil: null
	Value     []byte // nil: null
	Headers   []batch.RecordHeader
	Timestamp int64 // milliseconds; negative: PackOptions.Now
}

// PackOptions is what Pack needs to know beside the records.
type PackOptions struct {
	Topic      segments.TopicID
	Partitions int32 // of the topic; for a retry, as many as it had at the first try
	// which partition records without one and without a key go to, all to the same: a retry has to
	// come to it again
	Spread   uint64
	Now      int64                   // milliseconds, for records without a timestamp; for a retry, that of the first try
	Key      *coordinator.RequestKey // carried to each batch
	Compress bool                    // with LZ4, where that makes a batch smaller
}

// Packed is a batch and whose it is.
type Packed struct {
	Batch   Batch
	Records []int // indexes of its records in what Pack was given, in the order that they have in the batch
}

// inRequest is an error about records of the batch as one about the records that Pack was given.
func (p *Packed) inRequest(err error) error {
	bad, ok := errors.AsType[*RecordErrors](err)
	if !ok {
		return err
	}
	named := slices.Clone(bad.Named)
	for i := range named {
		named[i].Index = p.Records[named[i].Index]
	}
	return &RecordErrors{Records: bad.Records, Count: bad.Count, Named: named}
}

// Pack makes one batch for each partition that the records touch, ordered by partition; records of
// a partition keep their order. The same records and options give the same batches. A record whose
// partition the topic does not have is a RecordError with ErrUnknownPartition. The batches hold no
// bytes of the records.
func Pack(records []Record, o PackOptions) ([]Packed, error) {
	if o.Partitions < 1 {
		return nil, fmt.Errorf("%w: a topic of %d partitions", coordinator.ErrUnknownPartition, o.Partitions)
	}
	partitions := make([]int32, len(records))
	order := make([]int, len(records))
	for i := range records {
		p, err := o.partition(&records[i])
		if err != nil {
			return nil, &RecordError{i, err}
		}
		partitions[i], order[i] = p, i
	}
	byPartition := func(a, b int) int { return cmp.Compare(partitions[a], partitions[b]) }
	if !slices.IsSorted(partitions) {
		slices.SortStableFunc(order, byPartition)
	}
	scratch := make([]batch.Record, 0, len(records))
	var packed []Packed
	for len(order) > 0 {
		n := 1
		for n < len(order) && byPartition(order[0], order[n]) == 0 {
			n++
		}
		b, err := o.batch(records, order[:n], scratch)
		if err != nil {
			return nil, err
		}
		b.Partition = segments.Partition{Topic: o.Topic, Index: partitions[order[0]]}
		packed = append(packed, Packed{b, order[:n:n]})
		order = order[n:]
	}
	return packed, nil
}

// partition is where a record goes.
func (o *PackOptions) partition(r *Record) (int32, error) {
	switch {
	case r.Partition >= o.Partitions:
		return 0, fmt.Errorf("%w: partition %d of %d", coordinator.ErrUnknownPartition, r.Partition, o.Partitions)
	case r.Partition >= 0:
		return r.Partition, nil
	case r.Key != nil:
		return keyPartition(r.Key, o.Partitions), nil
	}
	return int32(o.Spread % uint64(o.Partitions)), nil
}

// batch makes a batch of the records with these indexes.
func (o *PackOptions) batch(records []Record, indexes []int, scratch []batch.Record) (Batch, error) {
	for _, i := range indexes {
		r := batch.Record{Timestamp: records[i].Timestamp, Key: records[i].Key, Value: records[i].Value,
			Headers: records[i].Headers}
		if r.Timestamp < 0 {
			r.Timestamp = o.Now
		}
		scratch = append(scratch, r)
	}
	bytes, err := batch.Build(scratch, batch.NoProducer(batch.None))
	if err != nil {
		return Batch{}, err
	}
	if o.Compress {
		bytes = batch.CompressPlain(bytes)
	}
	h, err := batch.ReadHeader(bytes)
	return Batch{Header: h, Bytes: bytes, Key: o.Key}, err
}

// keyPartition is the partition that Kafka's own clients choose for a key: murmur2 as Java's client
// computes it, without its sign. The empty key has one as well; the null key has none.
func keyPartition(key []byte, partitions int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % partitions
}

// murmur2 is Austin Appleby's MurmurHash2 with the seed of Kafka's clients. Records with one key
// come to one partition only as long as every client computes the same number, so it never changes.
func murmur2(b []byte) uint32 {
	const (
		seed       = 0x9747b28c
		multiplier = 0x5bd1e995
		shift      = 24
	)
	h := seed ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * multiplier
		k = (k ^ k>>shift) * multiplier
		h = h*multiplier ^ k
	}
	if len(b) > 0 {
		for i, c := range b {
			h ^= uint32(c) << (8 * i)
		}
		h *= multiplier
	}
	h = (h ^ h>>13) * multiplier
	return h ^ h>>15
}
