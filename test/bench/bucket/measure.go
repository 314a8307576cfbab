package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"firn.dev/segments"
	"firn.dev/test/process"
)

const (
	topic      = "bench"
	partitions = 12
	valueBytes = 1024
	uploads    = 8 // at once
	loneWrites = 300
)

// measurement is what was measured so far.
type measurement struct {
	*stack
	options

	firn, plain          []float64 // MiB/s of bytes in the bucket, by round
	records              []float64 // per second
	nodeCPU, minioPlain  []float64 // seconds of CPU per GiB: of the node, and of MinIO under the plain uploader
	minioFirn, redisFirn []float64
	objectBytes          int
	lone                 []time.Duration
	stages               map[string]stage
}

// stage is the count and the sum of seconds of a stage of the write path.
type stage struct{ count, seconds float64 }

func (m *measurement) measure(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(m.node.Kafka()))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		return err
	}
	if err := m.latency(ctx); err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	for range m.rounds {
		if err := m.produce(ctx); err != nil {
			return fmt.Errorf("firn: %w", err)
		}
		if err := m.upload(ctx); err != nil {
			return fmt.Errorf("plain uploader: %w", err)
		}
	}
	return nil
}

// produce writes incompressible records as fast as firn takes them, and waits for every
// acknowledgement.
func (m *measurement) produce(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(m.node.Kafka()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return err
	}
	defer client.Close()
	values := make([]byte, 8<<20)
	rand.Read(values)
	var failed atomic.Pointer[error]
	before, err := process.Scrape(ctx, m.node.HTTP())
	if err != nil {
		return err
	}
	cost := m.beginCost()
	n, began := 0, time.Now()
	for ; n%1000 != 0 || time.Since(began) < m.howLong; n++ {
		at := n % (len(values) / valueBytes) * valueBytes
		client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(n % partitions), Value: values[at:][:valueBytes]},
			func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	took := time.Since(began).Seconds()
	after, err := process.Scrape(ctx, m.node.HTTP())
	if err != nil {
		return err
	}
	bytes := after.Sum("firn_store_bytes_total", `op="put"`) - before.Sum("firn_store_bytes_total", `op="put"`)
	segmentsPut := after.Sum("firn_ingest_segment_bytes_count", "") - before.Sum("firn_ingest_segment_bytes_count", "")
	m.objectBytes = int((after.Sum("firn_ingest_segment_bytes_sum", "") - before.Sum("firn_ingest_segment_bytes_sum",
		"")) / segmentsPut)
	m.firn = append(m.firn, bytes/took/(1<<20))
	m.records = append(m.records, float64(n)/took)
	node, minio, redis := m.endCost(cost, bytes)
	m.nodeCPU, m.minioFirn, m.redisFirn = append(m.nodeCPU, node), append(m.minioFirn, minio), append(m.redisFirn, redis)
	return nil
}

// upload puts objects of the size that firn's had, several at once.
func (m *measurement) upload(ctx context.Context) error {
	body := make([]byte, m.objectBytes)
	rand.Read(body)
	var bytes atomic.Int64
	cost, began := m.beginCost(), time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range uploads {
		g.Go(func() error {
			for time.Since(began) < m.howLong {
				if err := m.store.Put(ctx, "object/"+segments.NewID(time.Now()).String(), body); err != nil {
					return err
				}
				bytes.Add(int64(len(body)))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	m.plain = append(m.plain, float64(bytes.Load())/time.Since(began).Seconds()/(1<<20))
	_, minio, _ := m.endCost(cost, float64(bytes.Load()))
	m.minioPlain = append(m.minioPlain, minio)
	return nil
}

// latency has a lone producer write one record at a time.
func (m *measurement) latency(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(m.node.Kafka()), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	value := make([]byte, valueBytes)
	write := func(n int) (took []time.Duration, err error) {
		for range n {
			rand.Read(value)
			began := time.Now()
			if err := client.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr(); err != nil {
				return nil, err
			}
			took = append(took, time.Since(began))
		}
		return took, nil
	}
	if _, err := write(30); err != nil {
		return err
	}
	before, err := process.Scrape(ctx, m.node.HTTP())
	if err != nil {
		return err
	}
	if m.lone, err = write(loneWrites); err != nil {
		return err
	}
	after, err := process.Scrape(ctx, m.node.HTTP())
	if err != nil {
		return err
	}
	m.stages = map[string]stage{}
	for _, name := range stageNames {
		label := `stage="` + name + `"`
		m.stages[name] = stage{
			count:   after.Sum("firn_ingest_stage_seconds_count", label) - before.Sum("firn_ingest_stage_seconds_count", label),
			seconds: after.Sum("firn_ingest_stage_seconds_sum", label) - before.Sum("firn_ingest_stage_seconds_sum", label),
		}
	}
	slices.Sort(m.lone)
	return nil
}

var stageNames = []string{"collect", "put", "commit", "journal", "visible", "total"}

// costs are seconds of CPU of the node, MinIO and Redis.
type costs [3]float64

func (m *measurement) beginCost() (c costs) {
	for i, pid := range []int{m.node.Pid(), m.minio.Pid(), m.redis.Pid()} {
		if u, err := process.UsageOf(pid); err == nil {
			c[i] = u.CPU.Seconds()
		}
	}
	return c
}

// endCost returns seconds of CPU per GiB of bytes in the bucket.
func (m *measurement) endCost(before costs, bytes float64) (node, minio, redis float64) {
	after, gib := m.beginCost(), bytes/(1<<30)
	return (after[0] - before[0]) / gib, (after[1] - before[1]) / gib, (after[2] - before[2]) / gib
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// print writes the tables.
func (m *measurement) print(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 4, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(t, "|", strings.Join(cells, "\t| "), "\t|") }
	row("1 KiB records, random, 12 partitions, acks=all", "MiB/s in the bucket", "records/s", "CPU s/GiB: firn", "MinIO",
		"Redis")
	row("---", "---", "---", "---", "---", "---")
	row("firn, one node", number(median(m.firn)), fmt.Sprintf("%.0f", median(m.records)), number(median(m.nodeCPU)),
		number(median(m.minioFirn)), number(median(m.redisFirn)))
	row(fmt.Sprintf("plain uploader, %d at once, objects of %d KiB", uploads, m.objectBytes>>10), number(median(m.plain)),
		"", "", number(median(m.minioPlain)), "")
	row("ratio", number(median(m.firn)/median(m.plain)), "", "", "", "")
	t.Flush()
	fmt.Fprintln(out)
	row("one record at a time", "ms")
	row("---", "---")
	row("p50, as the client sees it", millis(m.lone[len(m.lone)/2]))
	row("p99", millis(m.lone[len(m.lone)*99/100]))
	for _, name := range stageNames {
		s := m.stages[name]
		row("mean of stage "+name, number(1000*s.seconds/s.count))
	}
	t.Flush()
}

func number(v float64) string       { return fmt.Sprintf("%.2f", v) }
func millis(d time.Duration) string { return number(d.Seconds() * 1000) }
