package kafka_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/kafka"

	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	net.Listener // nil: none of its other methods is called
	conns        chan net.Conn
	closed       chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.closed); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// dial hands the server one end of a new connection.
func (p *pipes) dial(t testing.TB) net.Conn {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	p.conns <- far
	return near
}

// manyNodes is an embedded coordinator that several nodes use, as they use Redis.
type manyNodes struct{ coordinator.Coordinator }

// TestFrozenFetch freezes a node that has a Fetch parked, for shorter and longer than its leases
// and the Fetch itself, while another node writes. The Fetch is answered: with what was written, or
// empty if its time was over. The next one has the records in any case.
func TestFrozenFetch(t *testing.T) {
	for _, length := range coordinatortest.Freezes {
		t.Run(length.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { freezeFetch(t, length) })
		})
	}
}

func freezeFetch(t *testing.T, length time.Duration) {
	const maxWait = 20 * time.Second
	store, coord := memory.New(), manyNodes{embedded.New(embedded.Options{})}
	process, near, far := &coordinatortest.Frozen{Coordinator: coord}, newPipes(), newPipes()
	a := startAt(t, kafka.Options{}, store, 0, process, 1, kafka.Listener{Listener: near, Name: kafka.DefaultListener})
	startAt(t, kafka.Options{}, store, 0, coord, 2, kafka.Listener{Listener: far, Name: kafka.DefaultListener})
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version = 7
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "orders", NumPartitions: 1, ReplicationFactor: 1}}
	askOn[*kmsg.CreateTopicsResponse](t, near.dial(t), create)
	topic := a.node.View().Topic("orders")
	fetch := func() *kmsg.FetchResponseTopicPartition {
		req := fetchRaw(topic, 0)
		req.MaxWaitMillis, req.MinBytes = int32(maxWait/time.Millisecond), 1
		return &askOn[*kmsg.FetchResponse](t, near.dial(t), req).Topics[0].Partitions[0]
	}
	parked := make(chan *kmsg.FetchResponseTopicPartition, 1)
	go func() { parked <- fetch() }()
	synctest.Wait()

	process.Freeze(length)
	req := produceRaw(topic, build(t, batch.None, "while it is frozen"))
	written := askOn[*kmsg.ProduceResponse](t, far.dial(t), req).Topics[0].Partitions[0]
	wantCode(t, "producing at the other node", written.ErrorCode, nil)
	got := <-parked
	wantCode(t, "the parked Fetch", got.ErrorCode, nil)
	if len(got.RecordBatches) == 0 && length < maxWait {
		t.Error("the parked Fetch got nothing")
	}
	time.Sleep(length)
	got = fetch()
	wantCode(t, "the next Fetch", got.ErrorCode, nil)
	if len(got.RecordBatches) == 0 {
		t.Error("the next Fetch got nothing")
	}
}
