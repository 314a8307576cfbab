package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/segments/batch"
)

// Bounds of a producer: of memory, and of the time after which it gives up when no record is
// acknowledged, as Kafka's delivery.timeout.ms. The client library's own limit counts from a
// record's timestamp, which may be of last year.
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
	inputOptions
	topic       string
	partition   int32
	compression string
}

func newProduce(s streams) *cobra.Command {
	o := &produceOptions{}
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write one record per line of standard input",
		Long: "Write one record per line of standard input, idempotently: the client's own retries never write a record\n" +
			"twice. With --key-separator the text before the first separator is the record's key; a line without one has\n" +
			"no key. --key and --header go to every record. --record-separator reads records with newlines. With\n" +
			"--tombstones an empty value is null, which deletes its key where a topic is compacted.\n\n" +
			"--format json reads what 'firn consume --format json' prints, and what HTTP takes: key, value, headers,\n" +
			"partition and timestamp, of which only value is needed. Topic and offset are read over. A text is kept as it\n" +
			"is, {\"base64\": \"…\"} as those bytes, null as null, any other JSON as its text.",
		Args: exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.topic = args[0]
			if cmd.Flags().Changed("partition") && o.partition < 0 {
				return usagef("--partition %d: partitions are numbered from 0", o.partition)
			}
			return produce(cmd.Context(), s, o)
		},
	}
	o.bootstrap.addFlag(cmd)
	o.inputOptions.addFlags(cmd.Flags())
	cmd.Flags().Int32Var(&o.partition, "partition", -1, "write to this partition alone; by default the record's own, or "+
		"the key decides")
	cmd.Flags().StringVar(&o.compression, "compression", batch.LZ4.String(),
		"`codec` of the batches: none, gzip, snappy, lz4 or zstd")
	cmd.ValidArgsFunction = firstArg(o.complete(listTopicNames))
	completeFlag(cmd, "compression", completeCodecs())
	completeFlag(cmd, "format", fixedWords(formatLine, formatJSON))
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
	if err := o.inputOptions.parse(); err != nil {
		return err
	}
	partitions, maxBytes, err := o.inspectTopic(ctx)
	if err != nil {
		return err
	}
	opts := []kgo.Opt{
		kgo.ProducerBatchCompression(c),
		kgo.ProducerBatchMaxBytes(int32(maxBytes)),
		kgo.MaxBufferedRecords(produceBufferRecords),
		kgo.MaxBufferedBytes(produceBufferBytes),
	}
	if o.partition >= 0 || o.format != formatLine {
		opts = append(opts, kgo.RecordPartitioner(namedPartitioner{kgo.StickyKeyPartitioner(nil)}))
	}
	cl, err := o.connect(ctx, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	stop := o.watchServer(ctx, s, cl, fmt.Sprintf("records wait for up to %s", deliveryTimeout))

	p := startProgress(s, "produced", 0, true)
	in := o.inputOptions.reader(s.In, o.topic, maxBytes-batchOverhead)
	err = (&producer{produceOptions: o, client: cl, progress: p, partitions: partitions}).copyRecords(ctx, in)
	stop()
	p.finish()
	s.note("%s", p.line())
	return err
}

// inspectTopic checks that the topic and the partition exist, and returns how many partitions there
// are, and the topic's max.message.bytes.
func (o *produceOptions) inspectTopic(ctx context.Context) (partitions int32, maxBytes int, err error) {
	ctx, adm, done, err := o.admin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	detail, err := lookUp(ctx, adm, o.topic)
	if err != nil {
		return 0, 0, err
	}
	partitions = int32(len(detail.Partitions))
	if o.partition >= partitions {
		return 0, 0, o.noPartition(o.partition, partitions)
	}
	maxBytes, err = maxMessageBytes(ctx, adm, o.topic)
	return partitions, maxBytes, err
}

func (o *produceOptions) noPartition(partition, partitions int32) error {
	return fmt.Errorf("topic %q has partitions 0 to %d, not %d", o.topic, partitions-1, partition)
}

// namedPartitioner writes records to the partition that they name, and leaves those that name none
// to another.
type namedPartitioner struct{ kgo.Partitioner }

func (p namedPartitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return &namedTopicPartitioner{TopicPartitioner: p.Partitioner.ForTopic(topic)}
}

// namedTopicPartitioner remembers whether the record that it looks at names its partition: the
// client puts its first choice into the record, and asks again where that needs a new batch.
type namedTopicPartitioner struct {
	kgo.TopicPartitioner
	record *kgo.Record
	named  bool
}

func (p *namedTopicPartitioner) names(r *kgo.Record) bool {
	if r != p.record {
		p.record, p.named = r, r.Partition >= 0
	}
	return p.named
}

func (p *namedTopicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return p.names(r) || p.TopicPartitioner.RequiresConsistency(r)
}

func (p *namedTopicPartitioner) Partition(r *kgo.Record, n int) int {
	if p.names(r) {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}

// OnNewBatch lets the other choose another partition for records without a key.
func (p *namedTopicPartitioner) OnNewBatch() {
	if on, ok := p.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		on.OnNewBatch()
	}
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

// producer writes records.
type producer struct {
	*produceOptions
	client     *kgo.Client
	progress   *progress
	partitions int32                 // of the topic
	failure    atomic.Pointer[error] // the first record that was not written
}

// copyRecords writes every record of in and waits until all are acknowledged.
func (p *producer) copyRecords(ctx context.Context, in recordReader) error {
	// What was read is written even when reading ended early: the summary then says how far it got.
	writing, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() { p.watchProgress(writing, cancel) })
	err := p.readRecords(ctx, writing, in)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(interruptGrace, func() { cancel(errInterrupted) })
	})()
	if p.client.Flush(writing) != nil && err == nil {
		err = context.Cause(writing)
	}
	if failure := p.failure.Load(); failure != nil {
		return *failure
	}
	return err
}

// errNoProgress ends a producer whose records nobody acknowledges.
var errNoProgress = fmt.Errorf("no acknowledgement within %s", deliveryTimeout)

// watchProgress gives up when records wait and none is acknowledged for too long.
func (p *producer) watchProgress(ctx context.Context, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	acknowledged, since := int64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if n := p.progress.records.Load(); n != acknowledged || p.client.BufferedProduceRecords() == 0 {
			acknowledged, since = n, time.Now()
		}
		if time.Since(since) > deliveryTimeout {
			giveUp(errNoProgress)
			return
		}
	}
}

// readRecords hands records to the client, which writes them until writing ends.
func (p *producer) readRecords(ctx, writing context.Context, in recordReader) error {
	for {
		record, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case p.failure.Load() != nil:
			return nil
		case ctx.Err() != nil:
			return errInterrupted
		case writing.Err() != nil:
			return context.Cause(writing)
		}
		record.Topic = p.topic
		if p.partition >= 0 {
			record.Partition = p.partition
		}
		if record.Partition >= p.partitions {
			return in.at(p.noPartition(record.Partition, p.partitions))
		}
		p.client.Produce(writing, record, p.answered)
	}
}

// answered counts an acknowledged record, or keeps the first failure.
func (p *producer) answered(r *kgo.Record, err error) {
	if err == nil {
		p.progress.add(1, int64(len(r.Key)+len(r.Value)))
		return
	}
	if errors.Is(err, context.Canceled) {
		return // what canceled it is reported
	}
	if errors.Is(err, kerr.MessageTooLarge) {
		err = fmt.Errorf("a record of %d bytes is larger than the topic's max.message.bytes", len(r.Key)+len(r.Value))
	} else {
		err = explain(p.topic, err, "")
	}
	p.failure.CompareAndSwap(nil, &err)
}
