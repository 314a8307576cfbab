package kafka_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/kafka"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
	"firn.dev/topics"
)

// slowStore is a store whose puts and gets wait for what a test makes them wait for.
type slowStore struct {
	segments.Store
	put, get func(ctx context.Context, key string)
}

func (s *slowStore) Put(ctx context.Context, key string, body []byte) error {
	if s.put != nil {
		s.put(ctx, key)
	}
	return s.Store.Put(ctx, key, body)
}

func (s *slowStore) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if s.get != nil {
		s.get(ctx, key)
	}
	return s.Store.Get(ctx, key, offset, length)
}

// gate is closed to begin with.
type gate struct {
	shut atomic.Bool
	open chan struct{}
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) pass(ctx context.Context) {
	if g.shut.Load() {
		select {
		case <-g.open:
		case <-ctx.Done():
		}
	}
}

// heartbeats is the 99th of a hundred times that a heartbeat takes, one after the other on one
// connection. It is of a member that is not known, which takes the same way as of one that is.
func (f *firn) heartbeats(t *testing.T) time.Duration {
	t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID = 4, "bystanders", "nobody"
	nc := dial(t, f.address)
	defer nc.Close()
	took := make([]time.Duration, 100)
	for i := range took {
		began := time.Now()
		nc.SetDeadline(began.Add(20 * time.Second))
		if _, err := nc.Write(frame(req, int32(i))); err != nil {
			t.Fatal(err)
		}
		if _, err := readFrame(nc); err != nil {
			t.Fatalf("a heartbeat was not answered: %v", err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// limits of a server small enough to be filled by a test.
var tightLimits = kafka.Limits{
	RequestMemoryBytes: 64 << 20, AnswerMemoryBytes: 32 << 20, MaxRequestBytes: 16 << 20, FetchMaxBytes: 16 << 20,
	MaxInFlightBytes: 4 << 20,
}

// attack fills a server with requests, and returns once it is under way.
type attack func(t *testing.T, f *firn)

// Whatever others do, heartbeats go on: at most ten times as long as on an idle server, as far as
// that can be told on a machine that does other things as well (kafka.HeartbeatFloor), and never a
// second (kafka.HeartbeatLimit). All come from one address, which is the hard case.
func TestHeartbeatsUnderAttack(t *testing.T) {
	puts := newGate()
	for _, c := range []struct {
		name   string
		attack attack
	}{
		{"70 producers, bucket stands still", puts.producers},
		{"16 parked fetches of one partition 37,000 times", parkedFetches},
		{"40 requests of 14 MiB announced, bytes trickle", tricklers},
		{"12 first batches of 8 MiB unread", unreadFirstBatches},
		{"40 OffsetFetch answers of 4 MB unread", unreadOffsets},
		{"100 clients ask for the metadata of 2,000 partitions", unreadMetadata},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &slowStore{Store: memory.New(), put: func(ctx context.Context, key string) {
				if strings.HasPrefix(key, "segments/") {
					puts.pass(ctx)
				}
			}}
			f := startFirnOn(t, kafka.Options{KeepPlain: true, Limits: tightLimits}, store, 0)
			idle := f.heartbeats(t)
			c.attack(t, f)
			attacked := f.heartbeats(t)
			t.Logf("%-50s idle %8v  attacked %8v  requests %4.1f MiB  answers %4.1f MiB", c.name, idle.Round(time.Microsecond),
				attacked.Round(time.Microsecond),
				float64(f.Requests().Used())/(1<<20), float64(f.Answers().Used())/(1<<20))
			if attacked > kafka.HeartbeatLimit || attacked > max(10*idle, kafka.HeartbeatFloor) {
				t.Errorf("a heartbeat took %v, and %v when the server was idle", attacked, idle)
			}
			if puts.shut.Swap(false) {
				close(puts.open)
			}
		})
	}
}

// send writes requests on connections of their own, which are left open and never read.
func send(t *testing.T, f *firn, connections int, sent ...[]byte) (open []net.Conn) {
	t.Helper()
	for range connections {
		nc := dial(t, f.address)
		nc.(*net.TCPConn).SetReadBuffer(4 << 10)
		open = append(open, nc)
		go func() {
			for _, b := range sent {
				if _, err := nc.Write(b); err != nil {
					return // the server reads no further, or the test is over
				}
			}
		}()
	}
	return open
}

func (g *gate) producers(t *testing.T, f *firn) {
	topic := f.createTopic(t, "t", 1, "max.message.bytes", "2000000")
	g.shut.Store(true)
	one := frame(produceRaw(topic, build(t, batch.None, strings.Repeat("x", 1<<20))), 1)
	send(t, f, 70, one, one, one, one)
	waitUntil(t, func() bool { return f.Requests().Used() > 28<<20 })
}

func parkedFetches(t *testing.T, f *firn) {
	topic := f.createTopic(t, "t", 1)
	req := fetchRaw(topic, 0)
	req.Version, req.MaxWaitMillis = 4, 60_000 // where a partition takes least
	p := req.Topics[0].Partitions[0]
	req.Topics[0].Partitions = slices.Repeat([]kmsg.FetchRequestTopicPartition{p}, 37_000)
	send(t, f, 16, frame(req, 1))
	waitUntil(t, func() bool { return f.Requests().Used() > 1<<20 })
	// parked, with what one partition takes
	waitUntil(t, func() bool { return f.Requests().Used() < 1<<20 && f.Requests().Own() > 0 })
}

func tricklers(t *testing.T, f *firn) {
	for _, nc := range send(t, f, 40, sized(14<<20, 0, 9), make([]byte, kafka.FirstStepBytes)) {
		go func() {
			for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
				if _, err := nc.Write([]byte{0}); err != nil {
					return
				}
			}
		}()
	}
	waitUntil(t, func() bool { return f.Requests().Used() > 27<<20 })
}

func unreadFirstBatches(t *testing.T, f *firn) {
	topic := f.createTopic(t, "t", 1, "max.message.bytes", "20000000")
	wantCode(t, "produce", f.write(t, produceRaw(topic, build(t, batch.None, strings.Repeat("x", 8<<20)))).ErrorCode, nil)
	req := fetchRaw(topic, 0)
	req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes = 1, 1
	send(t, f, 12, frame(req, 1))
	waitUntil(t, func() bool { return f.Answers().Used() > 7<<20 }) // it is counted
}

func unreadOffsets(t *testing.T, f *firn) {
	const partitions = 1000
	f.createTopic(t, "t", partitions)
	text := strings.Repeat("m", 4000)
	for from := int32(0); from < partitions; from += 200 {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.Generation = 8, "g", -1
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = "t"
		for i := range int32(200) {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Metadata = from+i, &text
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
		wantCode(t, "commit", ask[*kmsg.OffsetCommitResponse](t, f, req).Topics[0].Partitions[0].ErrorCode, nil)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 7, "g"
	sent := frame(req, 1)
	send(t, f, 40, sent, sent, sent)
	waitUntil(t, func() bool { return f.Answers().Used() > 3<<20 })
}

func unreadMetadata(t *testing.T, f *firn) {
	f.createTopic(t, "t", 2000)
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	sent := slices.Repeat(frame(req, 1), 30)
	send(t, f, 100, sent)
	waitUntil(t, func() bool { return f.Answers().Used() > 1<<19 })
}

// One slow object holds up its own partition alone: the fetch has what is there, and the next one
// finds the rest. When nothing else is there, the fetch is answered once its time is over.
func TestOneSlowObjectHoldsUpItsPartitionAlone(t *testing.T) {
	slow := newGate()
	var first atomic.Pointer[string] // the object that is slow
	store := &slowStore{Store: memory.New()}
	store.get = func(ctx context.Context, key string) {
		if k := first.Load(); k != nil && *k == key {
			slow.pass(ctx)
		}
	}
	f := startFirnOn(t, kafka.Options{}, store, -1)
	topic := f.createTopic(t, "t", 2)
	f.produce(t, "t", 0, time.Now(), "slow")
	for o, err := range store.List(t.Context(), "segments/", "") {
		if err != nil {
			t.Fatal(err)
		}
		first.Store(&o.Key)
	}
	slow.shut.Store(true)
	both := fetchRaw(topic, 0)
	both.MaxWaitMillis = 20_000
	p := both.Topics[0].Partitions[0]
	p.Partition = 1
	both.Topics[0].Partitions = append(both.Topics[0].Partitions, p)

	answered := make(chan *kmsg.FetchResponse, 1)
	began := time.Now()
	go func() { answered <- ask[*kmsg.FetchResponse](t, f, both) }()
	waitUntil(t, func() bool { return f.Answers().Used()+f.Answers().Own() > 0 }) // it has begun to read
	f.produce(t, "t", 1, time.Now(), "there")
	got := (<-answered).Topics[0].Partitions
	if len(got[0].RecordBatches) > 0 || got[0].ErrorCode != 0 || got[0].HighWatermark != 1 ||
		len(got[1].RecordBatches) == 0 {
		t.Errorf("the fetch was answered with %+v", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("what came was answered after %v", took)
	}

	alone := fetchRaw(topic, 0)
	alone.MaxWaitMillis = 100
	if got := f.read(t, alone); len(got.RecordBatches) > 0 || got.ErrorCode != 0 || got.HighWatermark != 1 {
		t.Errorf("with nothing there, the fetch was answered with %+v", got)
	}
	close(slow.open)
	alone.MaxWaitMillis = 20_000
	if got := f.read(t, alone); len(got.RecordBatches) == 0 {
		t.Errorf("after the object has come, the fetch was answered with %+v", got)
	}
}

// A partition that is named again is answered once.
func TestFetchTakesPartitionsOnce(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "t", 3)
	f.produce(t, "t", 0, time.Now(), "a")
	req := fetchRaw(topic, 0)
	p := req.Topics[0].Partitions[0]
	for _, i := range []int32{2, 0, 1, 2} {
		p.Partition = i
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	req.Topics = append(req.Topics, req.Topics[0])
	resp := ask[*kmsg.FetchResponse](t, f, req)
	var got []int32
	for _, answer := range resp.Topics {
		for _, p := range answer.Partitions {
			got = append(got, p.Partition)
		}
	}
	if !slices.Equal(got, []int32{0, 2, 1}) {
		t.Errorf("answered are %v", got)
	}
}

// Lookups by time read the bucket side by side, whichever topics they are of.
func TestLookupsByTimeReadSideBySide(t *testing.T) {
	const topics, together = 12, 6
	var counting atomic.Bool
	var begun atomic.Int32
	all := make(chan struct{})
	store := &slowStore{Store: memory.New(), get: func(ctx context.Context, _ string) {
		if !counting.Load() {
			return
		}
		if begun.Add(1) == together {
			close(all)
		}
		select {
		case <-all:
		case <-ctx.Done():
		}
	}}
	f := startFirnOn(t, kafka.Options{}, store, -1)
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.TimeoutMillis = 10, 15_000
	at := time.Now()
	for i := range topics {
		name := fmt.Sprint("t", i)
		f.createTopic(t, name, 1)
		f.produce(t, name, 0, at, "a", "b")
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = at.UnixMilli() + 1
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic, topic.Partitions = name, []kmsg.ListOffsetsRequestTopicPartition{p}
		req.Topics = append(req.Topics, topic)
	}
	counting.Store(true)
	for _, topic := range ask[*kmsg.ListOffsetsResponse](t, f, req).Topics {
		if p := topic.Partitions[0]; p.ErrorCode != 0 || p.Offset != 1 {
			t.Errorf("%s: %+v, error %v", topic.Topic, p, kerr.ErrorForCode(p.ErrorCode))
		}
	}
}

// Topics that are missing are created side by side: that takes far fewer objects than topics.
func TestMissingTopicsAreCreatedTogether(t *testing.T) {
	const missing = 60
	var puts atomic.Int32
	store := &slowStore{Store: memory.New(), put: func(ctx context.Context, key string) {
		if !strings.HasPrefix(key, "journal/") {
			return
		}
		puts.Add(1)
		select { // as long as a bucket takes
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}}
	f := startFirnOn(t, kafka.Options{Topics: topics.Options{AutoCreate: true}}, store, 0)
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 8, true
	for i := range missing {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: new(fmt.Sprint("t", i))})
	}
	before := puts.Load()
	for _, topic := range ask[*kmsg.MetadataResponse](t, f, req).Topics {
		wantCode(t, *topic.Topic, topic.ErrorCode, nil)
	}
	if n := puts.Load() - before; n > missing/2 {
		t.Errorf("%d topics took %d objects", missing, n)
	}
}
