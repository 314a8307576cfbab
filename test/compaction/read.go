package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"firn.dev/segments/batch"
)

// record is one as a client got it.
type record struct {
	offset, timestamp int64
	key, value        string
	null              bool // it has no value
}

const maxRecords = 64 << 20 // bytes of one batch's

// fetch reads from an offset to the high watermark with requests of its own, batch by batch.
func (t *trial) fetch(ctx context.Context, offset int64) ([]record, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.spec.Kafka), kgo.MaxVersions(kversion.V2_7_0()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var all []record
	for {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch = 16<<20, 1000, -1
		p := kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 16<<20, -1
		req.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
		answer, err := client.SeedBrokers()[0].RetriableRequest(ctx, req)
		if err != nil {
			return nil, err
		}
		got := answer.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
			return nil, err
		}
		if offset == got.HighWatermark {
			return all, nil
		}
		next, err := unpack(&all, got.RecordBatches, offset)
		if err != nil {
			return nil, err
		}
		if next == offset {
			return nil, fmt.Errorf("at offset %d nothing comes, and the high watermark is %d", offset, got.HighWatermark)
		}
		offset = next
	}
}

// unpack appends the records from offset on, and returns the offset behind the last batch.
func unpack(all *[]record, batches []byte, offset int64) (int64, error) {
	next := offset
	for len(batches) > 0 {
		h, err := batch.ReadHeader(batches)
		if err != nil {
			return 0, err
		}
		for r, err := range batch.Records(batches, maxRecords) {
			if err != nil {
				return 0, err
			}
			if r.Offset >= offset {
				*all = append(*all, record{r.Offset, r.Timestamp, string(r.Key), string(r.Value), r.Value == nil})
			}
		}
		next = h.BaseOffset + int64(h.LastOffsetDelta) + 1
		batches = batches[h.Size():]
	}
	return next, nil
}

// consume reads n records from an offset on with franz-go.
func (t *trial) consume(ctx context.Context, offset int64, n int) ([]record, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(t.spec.Kafka),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(offset)}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var all []record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("after %d of %d records: %w", len(all), n, err)
		}
		var failed error
		fetches.EachError(func(_ string, _ int32, err error) { failed = errors.Join(failed, err) })
		if failed != nil {
			return nil, failed
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, record{r.Offset, r.Timestamp.UnixMilli(), string(r.Key), string(r.Value), r.Value == nil})
		})
	}
	return all, nil
}

// kcat reads from an offset to what librdkafka takes for the end.
func (t *trial) kcat(ctx context.Context, offset int64) ([]record, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", "-C", "-b", t.spec.Kafka, "-t", topic, "-p", "0", "-o",
		strconv.FormatInt(offset, 10), "-e", "-q", "-f", `%o %T %k %S %s\n`)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("kcat from offset %d: %w: %s", offset, err, trouble.String())
	}
	var all []record
	for line := range strings.Lines(string(out)) {
		var r record
		var size int
		fields := strings.Fields(line)
		if len(fields) < 4 {
			return nil, fmt.Errorf("kcat wrote %q", line)
		}
		_, err := fmt.Sscan(strings.Join(fields[:4], " "), &r.offset, &r.timestamp, &r.key, &size)
		if err != nil {
			return nil, fmt.Errorf("kcat wrote %q: %w", line, err)
		}
		if r.null = size < 0; !r.null && len(fields) > 4 {
			r.value = fields[4]
		}
		all = append(all, r)
	}
	return all, nil
}

// same says whether two clients got the same.
func same(a, b []record) error {
	if slices.Equal(a, b) {
		return nil
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Errorf("record %d of %d and %d: %+v and %+v", i, len(a), len(b), a[i], b[i])
		}
	}
	return fmt.Errorf("%d and %d records", len(a), len(b))
}
