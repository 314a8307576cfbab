package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pieceBytes is about how much of a file is in one record: whole lines, unless one is very long.
const pieceBytes = 1 << 10

// piece is some lines of a file.
type piece struct{ path, lines []byte }

// goSource is all .go files of Go's own source, in pieces.
func goSource(ctx context.Context) ([]piece, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	var pieces []piece
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key := []byte(strings.TrimPrefix(path, root))
		for len(text) > 0 {
			n := len(text)
			if n > pieceBytes {
				n = pieceBytes
				if at := bytes.IndexByte(text[n:], '\n'); at >= 0 && at < pieceBytes {
					n += at + 1
				}
			}
			pieces = append(pieces, piece{key, text[:n]})
			text = text[n:]
		}
		return nil
	})
	if err == nil && len(pieces) == 0 {
		err = fmt.Errorf("no .go files below %s", root)
	}
	return pieces, err
}

// sums says of each partition which records it has, in their order.
type sums [partitions]sum

type sum struct {
	count int64
	hash  hash.Hash
}

func newSums() *sums {
	s := &sums{}
	for i := range s {
		s[i].hash = sha256.New()
	}
	return s
}

func (s *sums) add(partition int32, key, value []byte) {
	s[partition].count++
	s[partition].hash.Write(key)
	s[partition].hash.Write(value)
}

func (s *sums) records() (n int64) {
	for i := range s {
		n += s[i].count
	}
	return n
}

// write writes the source until there is enough of it, and returns what each partition has and how
// many bytes all have.
func (m *measurement) write(ctx context.Context) (*sums, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, err := kgo.NewClient(kgo.SeedBrokers(m.node.Kafka()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(20*time.Millisecond),
		kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		return nil, 0, err
	}
	wrote, written, most := newSums(), int64(0), int64(m.gib*(1<<30))
	var acknowledged atomic.Int64
	for i := 0; written < most && ctx.Err() == nil; i++ {
		p := &m.pieces[i%len(m.pieces)]
		at := int32(len(p.path)+i/len(m.pieces)) % partitions // another one in each round
		wrote.add(at, p.path, p.lines)
		written += int64(len(p.path) + len(p.lines))
		client.Produce(ctx, &kgo.Record{Topic: topic, Partition: at, Key: p.path, Value: p.lines},
			func(_ *kgo.Record, err error) {
				if err != nil {
					cancel(err)
				}
				acknowledged.Add(1)
			})
	}
	err = errors.Join(client.Flush(ctx), context.Cause(ctx))
	if n := acknowledged.Load(); err == nil && n != wrote.records() {
		err = fmt.Errorf("%d of %d records were acknowledged", n, wrote.records())
	}
	return wrote, written, err
}

// compare reads everything and compares it with what was written.
func (m *measurement) compare(ctx context.Context, wrote *sums) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(m.node.Kafka()), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	read := newSums()
	for read.records() < wrote.records() {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after %d of %d records: %w", read.records(), wrote.records(), err)
		}
		for _, f := range fetches.Records() {
			if f.Offset != read[f.Partition].count {
				return fmt.Errorf("partition %d: offset %d, expected %d", f.Partition, f.Offset, read[f.Partition].count)
			}
			read.add(f.Partition, f.Key, f.Value)
		}
	}
	for i := range wrote {
		if wrote[i].count != read[i].count || !bytes.Equal(wrote[i].hash.Sum(nil), read[i].hash.Sum(nil)) {
			return fmt.Errorf("partition %d: %d records were written, %d were read, or their bytes differ", i, wrote[i].count,
				read[i].count)
		}
	}
	return nil
}
