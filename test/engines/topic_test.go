// Package engines has what README.md beside it shows of reading a topic with engines for analytics,
// and the tests that run it on a real server.
package engines

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process/processtest"
)

const (
	topic      = "orders"
	partitions = 4
	each       = 20_000 // records of a partition
)

// began is the timestamp of the first record of each partition; the others follow a second apart.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// stretch is what an engine says of the records of one partition.
type stretch struct {
	First, Last int64 // offsets
	Count, Sum  int64 // of records, and of their amounts
}

// amount is what the record of an offset is worth: the sum over a stretch tells which records were
// in it.
func amount(partition int32, offset int64) int64 {
	return int64(partition+1)*1_000_003 + offset*offset%1009
}

// expect is the truth about a stretch from one offset up to another.
func expect(partition int32, from, to int64) stretch {
	s := stretch{First: from, Last: to - 1, Count: to - from}
	for offset := from; offset < to; offset++ {
		s.Sum += amount(partition, offset)
	}
	return s
}

// server is a firn with a topic.
type server struct {
	firn  string // binary
	dir   string // its bucket
	kafka string
}

// start starts a server and fills a topic through it.
func start(t *testing.T) server {
	t.Helper()
	spec := processtest.Firn(t).Spec()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := server{firn: spec.Command[0], dir: spec.Dir, kafka: spec.Kafka}
	s.fill(ctx, t)
	return s
}

// fill writes each partition with another codec.
func (s server) fill(ctx context.Context, t *testing.T) {
	t.Helper()
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
		kgo.SnappyCompression()}
	for partition := range int32(partitions) {
		cl, err := kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.DefaultProduceTopic(topic),
			kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchCompression(codecs[partition]), kgo.ProducerBatchMaxBytes(64<<10))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if partition == 0 {
			if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
				t.Fatal(err)
			}
		}
		for offset := range int64(each) {
			cl.Produce(ctx, &kgo.Record{Partition: partition, Timestamp: began.Add(time.Duration(offset) * time.Second),
				Key:   fmt.Append(nil, offset%100),
				Value: fmt.Appendf(nil, `{"order": %d, "amount": %d}`, offset, amount(partition, offset))},
				func(r *kgo.Record, err error) {
					if err != nil || r.Offset != offset {
						t.Errorf("record %d of partition %d: at offset %d, %v", offset, partition, r.Offset, err)
					}
				})
		}
		if err := cl.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// answer is the line of JSON that an engine's program prints.
type answer struct {
	Tasks      int // that Spark read with
	Partitions map[int32]stretch
}

// ask runs an engine's program in its Python.
func ask(t *testing.T, program string, args ...string) (a answer) {
	t.Helper()
	if _, err := os.Stat("venv/bin/python"); err != nil {
		t.Fatal("the engines are missing: run 'make test-needs', or 'make test-engines' for Spark as well")
	}
	cmd := exec.CommandContext(t.Context(), "venv/bin/python", append([]string{program}, args...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, complaints.String())
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%s: %v: %s", program, err, out)
	}
	return a
}

// same compares what an engine found with the truth about these stretches.
func same(t *testing.T, got answer, want map[int32]stretch) {
	t.Helper()
	if len(got.Partitions) != len(want) {
		t.Errorf("%d partitions, want %d", len(got.Partitions), len(want))
	}
	for partition, truth := range want {
		if got.Partitions[partition] != truth {
			t.Errorf("partition %d: %+v, want %+v", partition, got.Partitions[partition], truth)
		}
	}
}

// firnSays sums the records that a command of firn writes as lines of JSON.
func (s server) firnSays(t *testing.T, command ...string) stretch {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.firn, command...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("firn %s: %v\n%s", strings.Join(command, " "), err, complaints.String())
	}
	found := stretch{First: -1}
	for lines := json.NewDecoder(bytes.NewReader(out)); lines.More(); {
		var line struct {
			Offset int64
			Value  string
		}
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		var value struct{ Amount int64 }
		if err := json.Unmarshal([]byte(line.Value), &value); err != nil {
			t.Fatal(err)
		}
		if found.First < 0 {
			found.First = line.Offset
		}
		found.Last, found.Count, found.Sum = line.Offset, found.Count+1, found.Sum+value.Amount
	}
	return found
}
