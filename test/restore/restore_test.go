// Package restore copies a bucket that is being written to, in the order that the runbook gives,
// and restores a cluster from the copy.
package restore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

const topic = "numbers"

// TestRestoreFromACopyOfABusyBucket: what was acknowledged before the copy began is in it, in
// order, and the audit misses nothing.
func TestRestoreFromACopyOfABusyBucket(t *testing.T) {
	bin, err := process.Build(t.Context(), t.TempDir(), "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FIRN_CARRY_BYTES", "8MiB") // as on a bucket across a network: the records are in the journal
	bucket, backup := filepath.Join(t.TempDir(), "bucket"), filepath.Join(t.TempDir(), "backup")
	node := serve(t, bin, bucket)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := &writer{reached: make(chan struct{})}
	written := make(chan error, 1)
	go func() { written <- w.write(ctx, node.Kafka()) }()

	select { // more than a thousand journal objects: there was a snapshot, and more will follow
	case <-w.reached:
	case err := <-written:
		t.Fatal(err)
	case <-time.After(2 * time.Minute):
		t.Fatal("the node is too slow")
	}
	acknowledged := w.acknowledged.Load()
	copyObjects(t, bucket, backup, "segments", "indexes", "journal")
	for round := 1; ; round++ {
		copyObjects(t, bucket, backup, "incarnations", "snapshots", "journal")
		out, err := exec.CommandContext(t.Context(), bin, "recover", "--dry-run", "--store",
			"file://"+backup).CombinedOutput()
		if err == nil {
			break
		}
		if round == 5 {
			t.Fatalf("%v: %s", err, out)
		}
	}
	copyObjects(t, bucket, backup, "segments", "indexes")
	stop()
	if err := <-written; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	node.Kill()

	if out, err := exec.CommandContext(t.Context(), bin, "doctor", "--audit", "--store",
		"file://"+backup).CombinedOutput(); err != nil || !strings.Contains(string(out), "missing: 0") {
		t.Errorf("%v: %s", err, out)
	}
	numbers := read(t, serve(t, bin, backup).Kafka())
	if int64(len(numbers)) < acknowledged {
		t.Errorf("the copy has %d records, acknowledged before it were %d", len(numbers), acknowledged)
	}
	for i, n := range numbers {
		if n != strconv.Itoa(i) {
			t.Fatalf("record %d says %s", i, n)
		}
	}
	t.Logf("%d records acknowledged before the copy, %d in it, %d written in the end", acknowledged, len(numbers),
		w.acknowledged.Load())
}

// serve starts a node on a directory.
func serve(t *testing.T, bin, dir string) *process.Process {
	t.Helper()
	spec, err := process.NewSpec(process.Firn(bin), dir)
	if err != nil {
		t.Fatal(err)
	}
	node, err := process.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := node.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return node
}

// writer writes numbers, one after the other.
type writer struct {
	acknowledged atomic.Int64
	reached      chan struct{} // closed when enough are
}

const enough = 1500

func (w *writer) write(ctx context.Context, kafka string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, topic); err != nil {
		return err
	}
	for i := int64(0); ; i++ {
		if err := client.ProduceSync(ctx, kgo.StringRecord(strconv.FormatInt(i, 10))).FirstErr(); err != nil {
			return err
		}
		if w.acknowledged.Store(i + 1); i+1 == enough {
			close(w.reached)
		}
	}
}

// copyObjects copies what is not in the copy yet. An object that goes away meanwhile is needed no
// more.
func copyObjects(t *testing.T, from, to string, prefixes ...string) {
	t.Helper()
	for _, prefix := range prefixes {
		err := filepath.WalkDir(filepath.Join(from, prefix), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.IsDir() {
				return err
			}
			name, err := filepath.Rel(from, path)
			if err != nil {
				return err
			}
			target := filepath.Join(to, name)
			if _, err := os.Stat(target); err == nil {
				return nil
			}
			body, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return os.WriteFile(target, body, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// read reads the topic from its start to its end.
func read(t *testing.T, kafka string) (values []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	for int64(len(values)) < end.Offset {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			values = append(values, string(r.Value))
		}
	}
	return values
}
