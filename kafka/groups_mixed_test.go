package kafka_test

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// program is a member of a group in a process of its own, which prints PARTITION/OFFSET of each
// record.
type program struct {
	cmd  *exec.Cmd
	done chan struct{}
	stop func()
}

// startProgram runs a command and passes its lines on.
func startProgram(t *testing.T, line func(string), name string, args ...string) *program {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: `make test` installs it or says how", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	p := &program{cmd: exec.CommandContext(ctx, path, args...), done: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	p.cmd.Stderr = &complaints
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line(lines.Text())
		}
		if err := p.cmd.Wait(); err != nil && ctx.Err() == nil {
			t.Errorf("%s: %v\n%s", name, err, complaints.String())
		}
	}()
	p.stop = sync.OnceFunc(func() {
		in.Close() // kafkajs's member leaves
		if name == "kcat" {
			p.cmd.Process.Signal(syscall.SIGTERM)
		}
		<-p.done
		cancel()
	})
	t.Cleanup(p.stop)
	return p
}

// Members on librdkafka (kcat), kafkajs and franz-go share one group. Every record is read.
func TestMixedGroup(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	const partitions = 6
	f.createTopic(t, "log", partitions)
	var mu sync.Mutex
	seen, readers := map[string]int{}, map[string]int{}
	count := func(reader string) func(string) {
		return func(at string) {
			mu.Lock()
			defer mu.Unlock()
			seen[at]++
			readers[reader]++
		}
	}
	reading := func(reader string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return readers[reader] > 0
		}
	}
	// A little is written all the time: so a member that has joined shows by what it reads.
	written := writeSlowly(t, f, partitions)
	startProgram(t, count("kafkajs"), "node", "../test/kafkajs/group.js", f.address, "mixed", "log")
	until(t, "kafkajs reads", reading("kafkajs"))
	startProgram(t, count("kcat"), "kcat", "-b", f.address, "-G", "mixed", "-q", "-u", "-X", "auto.offset.reset=earliest",
		"-X", "partition.assignment.strategy=roundrobin", "-X", "heartbeat.interval.ms=200", "-f", `%p/%o\n`, "log")
	until(t, "kcat reads", reading("kcat"))
	member := f.client(t, kgo.ConsumerGroup("mixed"), kgo.ConsumeTopics("log"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.RoundRobinBalancer()), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.FetchMaxWait(100*time.Millisecond))
	ctx, stop := context.WithCancel(t.Context())
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		for ctx.Err() == nil {
			member.PollRecords(ctx, 100).EachRecord(func(r *kgo.Record) {
				count("franz-go")(fmt.Sprintf("%d/%d", r.Partition, r.Offset))
			})
		}
	}()
	until(t, "franz-go reads", reading("franz-go"))
	total := written()
	until(t, "everything is read", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == total
	})
	stop()
	<-polled
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d records, read by %v", total, readers)
}

// writeSlowly writes records one after the other. The returned function stops that, and says how
// many there are.
func writeSlowly(t *testing.T, f *firn, partitions int32) (stop func() int) {
	t.Helper()
	cl := f.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan int, 1)
	go func() {
		n := 0
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; n++ {
			<-tick.C
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "log", Partition: int32(n) % partitions,
				Value: []byte("x")}).FirstErr(); err != nil {
				if t.Context().Err() == nil {
					t.Errorf("writing: %v", err)
				}
				break
			}
		}
		written <- n
	}()
	stop = sync.OnceValue(func() int {
		cancel()
		return <-written
	})
	t.Cleanup(func() { stop() })
	return stop
}

// until waits for something to become true.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
