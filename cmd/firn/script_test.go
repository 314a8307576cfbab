package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"firn.dev/localstack"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"firn": main})
}

// TestScripts runs testdata/script/*.txtar: firn as its users run it, each command a process of its
// own. Beside the commands of testscript there are:
//
//	addresses NAME…        sets each variable to a loopback address with a free port
//	await ADDR             waits until a Kafka server answers there
//	status N COMMAND…      runs a command that has to end with exit status N
//	terminate              sends SIGTERM to every background command
//	kill                   sends SIGKILL to every background command
//	subscribe ADDR GROUP TOPIC  has a consumer of the new protocol (KIP-848) be in a group until
//	                       the script ends
//	damage ADDR TOPIC      produces a batch of three records to partition 0 whose sums are right and
//	                       whose zstd frame is none; with ! it has to be refused
//	certify NAME…          makes an authority (ca.pem), server.pem and its key, and for each NAME a
//	                       client's certificate
//	transact ADDR TOPIC commit|abort VALUE…
//	                       produces a transaction to partition 0, and ends it so
//	overlap ADDR TOPIC     produces a transaction and an open one behind it, and aborts the first
//	occupy NAME            sets the variable to a loopback address that somebody listens on
//
// Scripts may put their data in a bucket: $MINIO and $S3 are store URLs of one place in a MinIO
// server, which nobody else uses.
func TestScripts(t *testing.T) {
	server := startMinIO(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// A process under the race detector sleeps for a second before it exits, unless it is told not
			// to.
			env.Setenv("GORACE", "atexit_sleep_ms=10")
			for name, value := range localstack.Environment() {
				env.Setenv(name, value)
			}
			prefix := segments.NewTopicID().String()
			env.Setenv("MINIO", fmt.Sprintf("minio://%s/%s/%s?secure=false", server.Addr, scriptBucket, prefix))
			env.Setenv("S3", server.S3URL(scriptBucket, prefix))
			env.Setenv("MINIOADDR", server.Addr)
			env.Setenv("PREFIX", prefix)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"addresses": addresses,
			"await":     await,
			"certify":   certify(t),
			"damage":    damage,
			"status":    status,
			"occupy":    occupy,
			"subscribe": subscribe,
			"transact":  transact,
			"overlap":   overlap,
			"kill":      kill,
			"terminate": terminate,
		},
	})
}

// scriptBucket is the bucket that scripts have places in.
const scriptBucket = "firn"

func startMinIO(t *testing.T) localstack.S3 {
	t.Helper()
	dir, err := localstack.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, err := localstack.StartMinIO(t.Context(), localstack.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	if err := server.CreateBucket(t.Context(), scriptBucket); err != nil {
		t.Fatal(err)
	}
	return server
}

func addresses(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		addr, err := localstack.FreeAddr()
		ts.Check(err)
		ts.Setenv(name, addr)
	}
}

// awaitLimit is how long a server may take on a machine that is busy with other tests.
const awaitLimit = 30 * time.Second

func await(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), awaitLimit)
	defer cancel()
	for {
		cl, err := kgo.NewClient(kgo.SeedBrokers(args[0]), kgo.RequestRetries(0))
		ts.Check(err)
		_, err = kadm.NewClient(cl).BrokerMetadata(ctx)
		cl.Close()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("no server answers at %s: %v", args[0], err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func subscribe(ts *testscript.TestScript, _ bool, args []string) {
	assigned := make(chan struct{}, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(args[0]), kgo.ConsumerGroup(args[1]), kgo.ConsumeTopics(args[2]),
		kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer(),
		kgo.DisableAutoCommit(), kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			if len(topics) > 0 {
				assigned <- struct{}{}
			}
		}))
	ts.Check(err)
	ts.Defer(cl.Close)
	select {
	case <-assigned:
	case <-time.After(awaitLimit):
		ts.Fatalf("no partition of %s is assigned in group %s", args[2], args[1])
	}
}

// beginTransaction produces records of a transaction to partition 0 and leaves it open.
func beginTransaction(ts *testscript.TestScript, addr, topic string, values ...string) (
	end func(kgo.TransactionEndTry),
) {
	ctx, cancel := context.WithTimeout(context.Background(), awaitLimit)
	ts.Defer(cancel)
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID(rand.Text()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ts.Check(err)
	ts.Defer(cl.Close)
	ts.Check(cl.BeginTransaction())
	for _, value := range values {
		ts.Check(cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr())
	}
	return func(how kgo.TransactionEndTry) { ts.Check(cl.EndTransaction(ctx, how)) }
}

func transact(ts *testscript.TestScript, _ bool, args []string) {
	end := beginTransaction(ts, args[0], args[1], args[3:]...)
	switch args[2] {
	case "commit":
		end(kgo.TryCommit)
	case "abort":
		end(kgo.TryAbort)
	}
}

func overlap(ts *testscript.TestScript, _ bool, args []string) {
	end := beginTransaction(ts, args[0], args[1], "aborted")
	beginTransaction(ts, args[0], args[1], "open")
	end(kgo.TryAbort)
}

func damage(ts *testscript.TestScript, refused bool, args []string) {
	b, err := batch.Build(make([]batch.Record, 3), batch.NoProducer(batch.Zstd))
	ts.Check(err)
	b = append(b[:batch.HeaderLen], "neither a frame nor records"...)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Records = b
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = args[1], []kmsg.ProduceRequestTopicPartition{partition}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, 10_000, []kmsg.ProduceRequestTopic{topic}
	cl, err := kgo.NewClient(kgo.SeedBrokers(args[0]), kgo.MaxVersions(kversion.V3_0_0())) // newer ones name topics by id
	ts.Check(err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), awaitLimit)
	defer cancel()
	resp, err := req.RequestWith(ctx, cl)
	ts.Check(err)
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); (err != nil) != refused {
		ts.Fatalf("the batch got %v", err)
	}
}

func status(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := new(exec.ExitError)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, not %d: %s", got, want, ts.ReadFile("stderr"))
	}
}

func occupy(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Defer(func() { l.Close() })
		ts.Setenv(name, l.Addr().String())
	}
}

func terminate(ts *testscript.TestScript, _ bool, _ []string) { signalAll(ts, syscall.SIGTERM) }

func kill(ts *testscript.TestScript, _ bool, _ []string) { signalAll(ts, syscall.SIGKILL) }

func signalAll(ts *testscript.TestScript, signal syscall.Signal) {
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(signal); !errors.Is(err, os.ErrProcessDone) {
			ts.Check(err)
		}
	}
}
