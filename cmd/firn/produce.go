package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/segments/batch"
)

// Bounds of a producer: of memory, and of the time after which a record that no server took is
// given up, Kafka's delivery.timeout.ms.
const (
	produceBufferBytes   = 64 << 20
	produceBufferRecords = 200_000
	deliveryTimeout      = 2 * time.Minute
	// interruptGrace is how long an interrupted producer waits for acknowledgements of what it has
	// read.
	interruptGrace = 3 * time.Second
	// batchOverhead is more than what a batch of one record adds to its key and value.
	batchOverhead = 128
)

type produceOptions struct {
	bootstrap
	topic        string
	keySeparator string
	partition    int32
	compression  string
}

func newProduce(s streams) *cobra.Command {
	o := &produceOptions{}
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write one record per line of standard input",
		Long: "Write one record per line of standard input, idempotently: the client's own retries never write a record\n" +
			"twice. With --key-separator the text before the first separator is the record's key; a line without one has\n" +
			"no key.",
		Args: exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.topic = args[0]
			if cmd.Flags().Changed("partition") && o.partition < 0 {
				return usagef("--partition %d: partitions are numbered from 0", o.partition)
			}
			return produce(cmd.Context(), s, o)
		},
	}
	o.addFlag(cmd)
	cmd.Flags().StringVar(&o.keySeparator, "key-separator", "", "`text` that ends the key of each line, for example a tab")
	cmd.Flags().Int32Var(&o.partition, "partition", -1, "write to this partition alone; by default the key decides")
	cmd.Flags().StringVar(&o.compression, "compression", batch.LZ4.String(),
		"`codec` of the batches: none, gzip, snappy, lz4 or zstd")
	return cmd
}

// codec returns kgo's codec of that name.
func codec(name string) (kgo.CompressionCodec, error) {
	c, err := batch.ParseCodec(name)
	if err != nil {
		return kgo.CompressionCodec{}, usagef("--compression: %v", err)
	}
	return map[batch.Codec]kgo.CompressionCodec{
		batch.None: kgo.NoCompression(), batch.Gzip: kgo.GzipCompression(), batch.Snappy: kgo.SnappyCompression(),
		batch.LZ4: kgo.Lz4Compression(), batch.Zstd: kgo.ZstdCompression(),
	}[c], nil
}

func produce(ctx context.Context, s streams, o *produceOptions) error {
	c, err := codec(o.compression)
	if err != nil {
		return err
	}
	maxBytes, err := o.inspectTopic(ctx)
	if err != nil {
		return err
	}
	opts := []kgo.Opt{
		kgo.ProducerBatchCompression(c),
		kgo.ProducerBatchMaxBytes(int32(maxBytes)),
		kgo.MaxBufferedRecords(produceBufferRecords),
		kgo.MaxBufferedBytes(produceBufferBytes),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
	}
	if o.partition >= 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	cl, err := o.connect(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()

	p := startProgress(s, "produced", 0, true)
	err = (&producer{produceOptions: o, client: cl, progress: p, maxLine: maxBytes - batchOverhead}).copyLines(ctx, s.In)
	p.finish()
	s.note("%s", p.line())
	return err
}

// inspectTopic checks that the topic and the partition exist, and returns the topic's
// max.message.bytes.
func (o *produceOptions) inspectTopic(ctx context.Context) (maxBytes int, err error) {
	ctx, adm, done, err := o.admin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	detail, err := lookUp(ctx, adm, o.topic)
	if err != nil {
		return 0, err
	}
	if n := int32(len(detail.Partitions)); o.partition >= n {
		return 0, fmt.Errorf("topic %q has partitions 0 to %d, not %d", o.topic, n-1, o.partition)
	}
	return maxMessageBytes(ctx, adm, o.topic)
}

// maxMessageBytes returns the topic config of that name, or Kafka's default from a server that does
// not tell, or not this client.
func maxMessageBytes(ctx context.Context, adm *kadm.Client, topic string) (int, error) {
	const byDefault = 1048588
	resources, err := adm.DescribeTopicConfigs(ctx, topic)
	if _, refused := errors.AsType[*kadm.AuthError](err); refused { // who may write need not see configs
		return byDefault, nil
	}
	if err != nil {
		return 0, explain(topic, err, "")
	}
	for _, resource := range resources {
		for _, config := range resource.Configs {
			var n int
			if config.Key == "max.message.bytes" {
				if _, err := fmt.Sscan(config.MaybeValue(), &n); err == nil && n > batchOverhead {
					return n, nil
				}
			}
		}
	}
	return byDefault, nil
}

// producer turns lines into records.
type producer struct {
	*produceOptions
	client   *kgo.Client
	progress *progress
	maxLine  int
	failure  atomic.Pointer[error] // the first record that was not written
}

// copyLines writes every line of in and waits until all are acknowledged.
func (p *producer) copyLines(ctx context.Context, in io.Reader) error {
	err := p.readLines(ctx, in)
	// What was read is written even when reading ended early: the summary then says how far it got.
	flush, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(interruptGrace, cancel) })()
	if flushErr := p.client.Flush(flush); err == nil && flushErr != nil {
		err = errInterrupted
	}
	if failure := p.failure.Load(); failure != nil {
		return *failure
	}
	return err
}

func (p *producer) readLines(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, min(64<<10, p.maxLine+1)), p.maxLine+1)
	lines.Split(splitLines)
	var keep slabs
	number := 0
	for lines.Scan() {
		number++
		if p.failure.Load() != nil {
			return nil
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
		record := keep.record(lines.Bytes(), p.keySeparator)
		record.Topic, record.Partition = p.topic, max(p.partition, 0)
		p.client.Produce(context.Background(), record, p.answered)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d bytes, the most that fits into the topic's max.message.bytes; "+
			"raise that with 'firn topic alter %s --config max.message.bytes=N'", number+1, p.maxLine, p.topic)
	}
	return lines.Err()
}

// answered counts an acknowledged record, or keeps the first failure.
func (p *producer) answered(r *kgo.Record, err error) {
	if err == nil {
		p.progress.add(1, int64(len(r.Key)+len(r.Value)))
		return
	}
	if errors.Is(err, kgo.ErrRecordTimeout) {
		err = fmt.Errorf("no acknowledgement within %s: %w", deliveryTimeout, err)
	} else if errors.Is(err, kerr.MessageTooLarge) {
		err = fmt.Errorf("a record of %d bytes is larger than the topic's max.message.bytes", len(r.Key)+len(r.Value))
	} else {
		err = explain(p.topic, err, "")
	}
	p.failure.CompareAndSwap(nil, &err)
}

// splitLines is bufio.ScanLines without its special treatment of carriage returns: a record is
// every byte up to the newline.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// slabs hands out records and the bytes behind them in large pieces: two allocations for a thousand
// lines rather than for each.
type slabs struct {
	records []kgo.Record
	bytes   []byte
}

// record returns a record with the line's key and value, copied. An empty separator means no keys.
func (s *slabs) record(line []byte, separator string) *kgo.Record {
	if len(s.records) == 0 {
		s.records = make([]kgo.Record, 1024)
	}
	r := &s.records[0]
	s.records = s.records[1:]
	if len(line) > len(s.bytes) {
		s.bytes = make([]byte, max(256<<10, len(line)))
	}
	kept := s.bytes[:len(line):len(line)]
	s.bytes = s.bytes[len(line):]
	copy(kept, line)
	r.Value = kept
	if separator != "" {
		if key, value, ok := bytes.Cut(kept, []byte(separator)); ok {
			r.Key, r.Value = slices.Clip(key), value
		}
	}
	return r
}
