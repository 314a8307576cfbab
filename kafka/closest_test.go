package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/coordinator/embedded"
	"firn.dev/kafka"
	"firn.dev/segments/memory"
)

// Each partition of zoned has so many batches of one record, of so many bytes.
const zonedBatches, zonedBatch = 12, 16 << 10

// zoned are three nodes in zones of their own, and a topic of six partitions with a replica in
// each.
func zoned(t *testing.T) []*firn {
	t.Helper()
	store, coord := memory.New(), manyNodes{embedded.New(embedded.Options{})}
	var nodes []*firn
	for id := range int32(3) {
		nodes = append(nodes, startNode(t, kafka.Options{}, store, 0, coord, id+1))
	}
	first := nodes[0]
	for deadline := time.Now().Add(time.Minute); len(first.node.Nodes()) < len(nodes); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the first node knows of %v", first.node.Nodes())
		}
	}
	if _, err := first.admin(t).CreateTopic(t.Context(), 6, 3, nil, "log"); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	for p := range int32(6) {
		for range zonedBatches {
			value := make([]byte, zonedBatch)
			_, _ = random.Read(value)
			first.produce(t, "log", p, time.Now(), string(value))
		}
	}
	return nodes
}

// TestConsumersStayInTheirZone has a consumer in each zone read everything, and counts the bytes
// that it takes from other zones: all but those of its first fetches come from its own. Without a
// rack it is two thirds.
func TestConsumersStayInTheirZone(t *testing.T) {
	nodes := zoned(t)
	var crossed, read, crossedBefore, readBefore int64
	for i, home := range nodes {
		far, all := readAll(t, nodes, home)
		crossedBefore, readBefore = crossedBefore+far, readBefore+all
		far, all = readAll(t, nodes, home, kgo.Rack(fmt.Sprint("zone-", i+1)))
		crossed, read = crossed+far, read+all
	}
	before, with := float64(crossedBefore)/float64(readBefore), float64(crossed)/float64(read)
	t.Logf("of all bytes %.0f %% cross zones, %.0f %% without a rack", 100*with, 100*before)
	if with > before/2 {
		t.Errorf("%d of %d bytes cross zones, %d of %d without a rack", crossed, read, crossedBefore, readBefore)
	}
}

// readAll reads the topic and returns how many bytes came from other nodes than home, and from all.
func readAll(t *testing.T, nodes []*firn, home *firn, opts ...kgo.Opt) (crossed, all int64) {
	t.Helper()
	var near, far atomic.Int64
	dial := func(ctx context.Context, network, host string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		if host == home.address {
			return &counting{nc, &near}, nil
		}
		return &counting{nc, &far}, nil
	}
	cl := nodes[0].client(t, append(opts, kgo.Dialer(dial), kgo.ConsumeTopics("log"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(16<<10),
		kgo.FetchMaxWait(100*time.Millisecond))...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for got := 0; got < 6*zonedBatches; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		got += fetches.NumRecords()
	}
	return far.Load(), near.Load() + far.Load()
}

// counting is a connection whose bytes are counted.
type counting struct {
	net.Conn
	n *atomic.Int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// TestKcatFollowsToItsRack: librdkafka goes where it is sent, and reads everything.
func TestKcatFollowsToItsRack(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Fatal("install kcat: ", err)
	}
	nodes := zoned(t)
	before := nodes[1].metric(t, "bytes_out_total")
	out, err := exec.CommandContext(t.Context(), kcat, "-b", nodes[0].address, "-C", "-t", "log", "-o", "beginning",
		"-e", "-q", "-f", "%p\n", "-X", "client.rack=zone-2", "-X", "fetch.message.max.bytes=16384").CombinedOutput()
	if err != nil || bytes.Count(out, []byte("\n")) != 6*zonedBatches {
		t.Fatalf("kcat read %d records: %v", bytes.Count(out, []byte("\n")), err)
	}
	if sent := nodes[1].metric(t, "bytes_out_total") - before; sent < 6*zonedBatches*zonedBatch*3/4 {
		t.Errorf("%.0f bytes came from its own zone", sent)
	}
}
