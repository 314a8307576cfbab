package kafka_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
	"firn.dev/segments/batch"
)

// honest writes records and reads them back, in order and complete, for as long as the hostile are
// at work.
func (f *firn) honest(t *testing.T) (stop func()) {
	t.Helper()
	f.createTopic(t, "honest", 2)
	cl := f.client(t, kgo.DefaultProduceTopic("honest"), kgo.ConsumeTopics("honest"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			want := fmt.Sprint(n)
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord(want)).FirstErr(); err != nil {
				t.Errorf("the honest client could not write: %v", err)
				return
			}
			got := cl.PollFetches(t.Context())
			if err := got.Err(); err != nil || got.NumRecords() != 1 || string(got.Records()[0].Value) != want {
				t.Errorf("the honest client read %v, error %v; want %s", got.Records(), err, want)
				return
			}
			select {
			case <-quit:
				return
			default:
			}
		}
	}()
	return func() { close(quit); <-done }
}

// Requests of every API and version that is served, with random content and then damaged, never
// make a handler panic, and every connection is answered or closed.
func TestNonsenseOfEveryAPIHarmsNobody(t *testing.T) {
	f := startFirn(t, kafka.Options{Limits: kafka.Limits{ReadTimeout: 20 * time.Millisecond}})
	f.createTopic(t, "a", 3)
	stop := f.honest(t)
	defer stop()
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, a := range kafka.APIs() {
		for version := a.Min; version <= a.Max; version++ {
			req := kmsg.RequestForKey(int16(a.Key))
			req.SetVersion(version)
			kafka.Randomise(reflect.ValueOf(req).Elem(), rnd)
			sent := frame(req, 1)
			f.provoke(t, sent)
			for range 3 {
				damaged := append([]byte(nil), sent...)
				damaged[4+rnd.IntN(len(damaged)-4)] ^= byte(1 + rnd.IntN(255))
				f.provoke(t, damaged)
			}
		}
	}
	if n := f.metric(t, "panics_total"); n > 0 {
		t.Errorf("%v panics", n)
	}
	waitUntil(t, func() bool { return f.Answers().Used() == 0 })
}

// provoke sends something and sees to it that the server answers or closes the connection.
func (f *firn) provoke(t *testing.T, sent []byte) {
	t.Helper()
	nc, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(50 * time.Millisecond)) // some requests wait for what never comes, as they should
	nc.Write(sent)
	if half, ok := nc.(*net.TCPConn); ok && len(sent)%2 == 0 {
		half.CloseWrite()
	}
	io.CopyN(io.Discard, nc, 5)
}

// Consumers that ask for much and take nothing: what is held for them is bounded, they are cut off,
// and others read on.
func TestGreedyReadersThatReadNothing(t *testing.T) {
	f := startFirn(t, kafka.Options{KeepPlain: true, Limits: kafka.Limits{
		AnswerMemoryBytes: 16 << 20, MaxRequestBytes: 16 << 20, FetchMaxBytes: 16 << 20, WriteTimeout: 500 * time.Millisecond,
	}})
	topic := f.createTopic(t, "t", 1, "max.message.bytes", "20000000")
	for range 16 {
		wantCode(t, "produce", f.write(t, produceRaw(topic, build(t, batch.None, strings.Repeat("x", 1<<20)))).ErrorCode, nil)
	}
	stop := f.honest(t)
	defer stop()
	before := inUse()
	greedy := fetchRaw(topic, 0)
	greedy.MaxBytes, greedy.Topics[0].Partitions[0].PartitionMaxBytes = 1<<31-1, 1<<31-1
	var open []net.Conn
	for range 50 {
		nc := dial(t, f.address)
		nc.(*net.TCPConn).SetReadBuffer(4 << 10)
		for n := range int32(20) {
			nc.Write(frame(greedy, n))
		}
		open = append(open, nc)
	}
	waitUntil(t, func() bool { return f.Answers().Used() > 8<<20 })
	if grown := inUse() - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	if used := f.Answers().Used(); used > 16<<20 {
		t.Errorf("%d bytes of fetch memory are taken", used)
	}
	for _, nc := range open {
		nc.Close()
	}
	waitUntil(t, func() bool { return f.Answers().Used() < 1<<20 })
}

// Thousands of connections that are open and say nothing cost a few KiB each, and nobody else
// notices.
func TestThousandsOfConnections(t *testing.T) {
	const clients = 2000
	f := startFirn(t, kafka.Options{})
	stop := f.honest(t)
	defer stop()
	before := inUse()
	var dialled sync.WaitGroup
	open := make([]net.Conn, clients)
	for worker := range 10 {
		dialled.Go(func() {
			for i := worker; i < clients; i += 10 {
				nc, err := net.Dial("tcp", f.address)
				if err != nil {
					t.Error(err)
					return
				}
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				if err := askVersions(nc, int32(i)); err != nil {
					t.Error(err)
				}
				open[i] = nc
			}
		})
	}
	dialled.Wait()
	each := (inUse() - before) / clients // of both ends, since both are in this process
	t.Logf("%d bytes for each idle connection, client's end included", each)
	if each > 48<<10 {
		t.Errorf("%d bytes for each idle connection", each)
	}
	for _, nc := range open {
		if nc != nil {
			nc.Close()
		}
	}
	waitUntil(t, func() bool { return f.OpenConnections() < 10 })
}

// A client that goes on writing without reading its answers is stopped by TCP and then cut off;
// what it wrote before stays.
func TestWriterThatReadsNoAnswers(t *testing.T) {
	f := startFirn(t, kafka.Options{KeepPlain: true, Limits: kafka.Limits{WriteTimeout: 200 * time.Millisecond,
		MaxInFlight: 4}})
	topic := f.createTopic(t, "t", 1, "max.message.bytes", "2000000")
	nc := dial(t, f.address)
	nc.Write(frame(produceRaw(topic, build(t, batch.None, strings.Repeat("x", 1<<20))), 1))
	again := frame(fetchRaw(topic, 0), 2)
	for {
		if _, err := nc.Write(again); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection hangs")
			}
			break
		}
	}
	if got := f.stored(t, topic); len(got) != 1 {
		t.Errorf("%d batches are stored", len(got))
	}
}

// A request may have many partitions, and is answered for each, but not so many that the answer
// alone would cost the server dear.
func TestHugeArrays(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 1)
	req := produceRaw(topic, nil)
	req.Topics[0].Partitions = make([]kmsg.ProduceRequestTopicPartition, kafka.MaxProducePartitions)
	got := ask[*kmsg.ProduceResponse](t, f, req).Topics[0].Partitions
	if len(got) != kafka.MaxProducePartitions || got[len(got)-1].ErrorCode != kerr.InvalidRecord.Code {
		t.Errorf("%d answers", len(got))
	}
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, kmsg.ProduceRequestTopicPartition{})
	nc := dial(t, f.address)
	if _, err := nc.Write(frame(req, 1)); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, nc)
}
