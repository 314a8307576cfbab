// Package neighbours attacks a server, as a process of its own, in the ways in which one client
// could hurt others: it measures what a bystander notices, and that the process stays within the
// sum of its limits.
package neighbours

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/segments/batch"
	"firn.dev/test/process"
)

// limits are the flags that bound memory, in MiB. What else is bounded has no flag: index footers
// (16), gets under way (32), lookups by time (64), and decoders.
var limits = []struct {
	flag string
	mib  int64
}{
	{"request-memory", 256}, {"answer-memory", 256}, {"http-memory", 64}, {"http-read-memory", 32}, {"buffer-bytes", 128},
	{"cache-bytes", 32}, {"tail-bytes", 8}, {"merge-memory", 32}, {"compaction-memory", 1},
}

const (
	unflaggedMiB = 16 + 32 + 64
	// The collector runs when there is half as much garbage as live memory (GOGC=50).
	garbage = 1.5
	// What a server takes that does nothing, its connections and stacks, and one segment that is being
	// written.
	baseMiB = 128
)

// boundMiB is what the process may take.
func boundMiB() int64 {
	sum := int64(unflaggedMiB) + batch.SlotsBytes()>>20
	for _, l := range limits {
		sum += l.mib
	}
	return int64(garbage*float64(sum)) + baseMiB
}

// victim is the server, and what a bystander sees of it.
type victim struct {
	*process.Process
	t      *testing.T
	client *kgo.Client
	open   []net.Conn // of the attack under way
}

func start(t *testing.T) *victim {
	bin, err := process.Build(t.Context(), t.TempDir(), "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	command := process.Firn(bin)
	for _, l := range limits {
		command = append(command, "--"+l.flag, fmt.Sprintf("%dMiB", l.mib))
	}
	spec, err := process.NewSpec(command, filepath.Join(t.TempDir(), "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := p.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka()), kgo.ProducerBatchMaxBytes(95<<20),
		kgo.BrokerMaxWriteBytes(100<<20),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &victim{Process: p, t: t, client: client}
}

// TestNeighboursNoticeLittle: in each attack a heartbeat takes less than a second, and at most ten
// times as long as on an idle server, on cores that are as busy; probes are answered; and the
// process stays within the sum of its limits. How busy the cores make it, without the server's
// doing, is what a heartbeat takes while the same traffic goes to somebody else. All come from one
// address, which is the hard case.
func TestNeighboursNoticeLittle(t *testing.T) {
	v := start(t)
	v.prepare()
	idle, rss := v.watch(time.Second)
	t.Logf("%-44s %12s %12s %8s", "attack", "heartbeat p99", "probe", "RSS MiB")
	report := func(name string, p99 time.Duration, rss int64) {
		t.Logf("%-44s %12v %12v %8d", name, p99.Round(time.Microsecond), v.probe().Round(time.Microsecond), rss>>20)
	}
	report("none", idle, rss)
	v.elsewhere()
	busy, rss := v.watch(3 * time.Second)
	report("none here; 70 producers of 16 MiB elsewhere", busy, rss)
	v.end()
	busy = max(busy, idle)
	for _, a := range []struct {
		name string
		run  func()
	}{
		{"70 producers of 16 MiB", v.producers},
		{"16 parked fetches, a partition 37,000 times", v.parkedFetches},
		{"6 requests of 95 MiB begun, and no more", v.beginners},
		{"12 first batches of 80 MiB unread", v.unreadBatches},
		{"40 connections leave 10 MB OffsetFetches unread", v.unreadOffsets},
		{"40 HTTP streams that read no answer", v.streams},
		{"2,500 idle HTTP connections", v.idleHTTP},
		{"16 HTTP readers of 8 MiB that read nothing", v.slowReaders},
		{"70 producers of batches that grow to 90 MiB", v.bombs},
		{"200 HTTP descriptions of a group, unread", v.descriptions},
	} {
		a.run()
		p99, rss := v.watch(3 * time.Second)
		report(a.name, p99, rss)
		if p99 > heartbeatLimit || p99 > max(10*busy, heartbeatFloor) {
			t.Errorf("%s: a heartbeat took %v, and %v when the server was idle and the cores busy", a.name, p99, busy)
		}
		if rss>>20 > boundMiB() {
			t.Errorf("%s: the process takes %d MiB; its limits add up to %d", a.name, rss>>20, boundMiB())
		}
		v.end()
	}
	t.Logf("limits add up to %d MiB", boundMiB())
}

// prepare makes what the attacks read.
func (v *victim) prepare() {
	admin := kadm.NewClient(v.client)
	large := map[string]*string{"max.message.bytes": new("100000000"), "retention.ms": new("-1")}
	for topic, partitions := range map[string]int32{"large": 1, "small": 1, "read": 1, "offsets": 2500} {
		if _, err := admin.CreateTopic(v.t.Context(), partitions, 1, large, topic); err != nil {
			v.t.Fatal(err)
		}
	}
	noise := func(n int) []byte {
		b, rnd := make([]byte, n), rand.New(rand.NewPCG(1, 2))
		for i := 0; i+8 <= n; i += 8 {
			binary.LittleEndian.PutUint64(b[i:], rnd.Uint64())
		}
		return b
	}
	if err := v.client.ProduceSync(v.t.Context(), &kgo.Record{Topic: "large",
		Value: noise(80 << 20)}).FirstErr(); err != nil {
		v.t.Fatal(err)
	}
	for range 16 {
		if err := v.client.ProduceSync(v.t.Context(), &kgo.Record{Topic: "read",
			Value: noise(1 << 20)}).FirstErr(); err != nil {
			v.t.Fatal(err)
		}
	}
	text := strings.Repeat("m", 4000)
	for from := int32(0); from < 2500; from += 250 {
		offsets := kadm.Offsets{}
		for i := range int32(250) {
			offsets.Add(kadm.Offset{Topic: "offsets", Partition: from + i, LeaderEpoch: -1, Metadata: text})
		}
		if err := admin.CommitAllOffsets(v.t.Context(), "g", offsets); err != nil {
			v.t.Fatal(err)
		}
	}
}

// watch has a bystander send heartbeats for a while, and returns the 99th of a hundred times that
// they took, and the most memory that the process had. The bystander is a process of its own:
// beside attackers in one process it would wait for them there, and not for the server.
func (v *victim) watch(during time.Duration) (p99 time.Duration, rss int64) {
	bystander := exec.CommandContext(v.t.Context(), os.Args[0])
	bystander.Env = append(os.Environ(), bystanderOf+"="+v.Kafka(), bystanderFor+"="+during.String())
	var out bytes.Buffer
	bystander.Stdout, bystander.Stderr = &out, &out
	if err := bystander.Start(); err != nil {
		v.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- bystander.Wait() }()
	for sample := time.Tick(20 * time.Millisecond); ; {
		select {
		case err := <-ended:
			if p99, took := time.ParseDuration(strings.TrimSpace(out.String())); err == nil && took == nil {
				return p99, max(rss, v.rss())
			}
			v.t.Fatalf("the bystander: %v: %s", err, out.String())
		case <-sample:
			rss = max(rss, v.rss())
		}
	}
}

// In the environment of a bystander: the server, and for how long.
const (
	bystanderOf  = "FIRN_TEST_BYSTANDER"
	bystanderFor = "FIRN_TEST_BYSTANDER_FOR"
)

func TestMain(m *testing.M) {
	server := os.Getenv(bystanderOf)
	if server == "" {
		os.Exit(m.Run())
	}
	during, err := time.ParseDuration(os.Getenv(bystanderFor))
	if err == nil {
		var p99 time.Duration
		if p99, err = heartbeats(server, during); err == nil {
			fmt.Println(p99)
			return
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// heartbeats sends heartbeats, one after the other on one connection, and returns the 99th of a
// hundred times that they take.
func heartbeats(server string, during time.Duration) (time.Duration, error) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID = 4, "bystanders", "nobody"
	nc, err := net.Dial("tcp", server)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	var took []time.Duration
	for end := time.Now().Add(during); time.Now().Before(end) || len(took) < 100; {
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		began := time.Now()
		if _, err := nc.Write(frame(req)); err != nil {
			return 0, err
		}
		var size [4]byte
		if _, err := io.ReadFull(nc, size[:]); err != nil {
			return 0, fmt.Errorf("a heartbeat was not answered: %w", err)
		}
		if _, err := io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(size[:]))); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100], nil
}

// rss is how much memory the process has.
func (v *victim) rss() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", v.Pid()))
	if err != nil {
		v.t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		v.t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// probe asks whether the process is alive, on a connection of its own.
func (v *victim) probe() time.Duration {
	began := time.Now()
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + v.HTTP() + "/healthz")
	if err != nil {
		v.t.Errorf("the probe failed: %v", err)
		return time.Since(began)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		v.t.Errorf("the probe was answered with %s", resp.Status)
	}
	return time.Since(began)
}

// attack sends the same on many connections, which are left open and not read.
func (v *victim) attack(address string, connections int, sent ...[]byte) {
	for range connections {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			v.t.Fatal(err)
		}
		nc.(*net.TCPConn).SetReadBuffer(4 << 10)
		v.open = append(v.open, nc)
		go func() {
			for _, b := range sent {
				if _, err := nc.Write(b); err != nil {
					return // the server reads no further, or the attack is over
				}
			}
		}()
	}
}

// end ends the attack under way.
func (v *victim) end() {
	for _, nc := range v.open {
		nc.Close()
	}
	v.open = nil
}

func frame(req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 1)
}

func (v *victim) producers() {
	// The batch is none, but the server has to read all of it to see that.
	v.attackProducing(v.Kafka())
}

func (v *victim) attackProducing(address string) {
	v.attack(address, 70, slices.Repeat([][]byte{produced(make([]byte, 16<<20))}, 20)...)
}

// elsewhere is producers, but to somebody who throws away what they send.
func (v *victim) elsewhere() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(struct{ io.Writer }{io.Discard}, nc)
				nc.Close()
			}()
		}
	}()
	v.attackProducing(l.Addr().String())
}

// produced is a Produce of a batch.
func produced(records []byte) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 30_000
	partitions := []kmsg.ProduceRequestTopicPartition{{Records: records}}
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "small", Partitions: partitions}}
	return frame(req)
}

func (v *victim) parkedFetches() {
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.MaxWaitMillis = 4, 1, 1<<20, 60_000
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "small",
		Partitions: slices.Repeat([]kmsg.FetchRequestTopicPartition{p}, 37_000)}}
	v.attack(v.Kafka(), 16, frame(req))
}

func (v *victim) beginners() {
	head := binary.BigEndian.AppendUint32(nil, 95<<20)
	head = binary.BigEndian.AppendUint16(head, uint16(kmsg.Produce))
	head = binary.BigEndian.AppendUint16(head, 9)
	v.attack(v.Kafka(), 6, append(head, make([]byte, 64<<10)...))
}

func (v *victim) unreadBatches() {
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.MaxWaitMillis = 4, 1, 1, 30_000
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "large", Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	v.attack(v.Kafka(), 12, frame(req))
}

func (v *victim) unreadOffsets() {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 7, "g"
	v.attack(v.Kafka(), 40, slices.Repeat([][]byte{frame(req)}, 4)...)
}

func (v *victim) streams() {
	resp, err := http.Get("http://" + v.HTTP() + "/v3/clusters")
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	_, rest, _ := bytes.Cut(all, []byte(`"cluster_id": "`))
	cluster, _, found := bytes.Cut(rest, []byte(`"`))
	if err != nil || !found {
		v.t.Fatalf("%s, error %v", all, err)
	}
	record := `{"value":{"type":"STRING","data":"` + strings.Repeat("x", 500<<10) + `"}}` + "\n"
	chunk := fmt.Appendf(nil, "%x\r\n%s\r\n", len(record), record)
	head := fmt.Appendf(nil, "POST /v3/clusters/%s/topics/small/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: "+
		"application/json\r\nTransfer-Encoding: chunked\r\n\r\n", cluster)
	v.attack(v.HTTP(), 40, append([][]byte{head}, slices.Repeat([][]byte{chunk}, 200)...)...)
}

// bombs are small and sound. To look inside, the server has to decompress them: snappy in one
// piece, zstd with a large window.
func (v *victim) bombs() {
	for _, codec := range []batch.Codec{batch.Snappy, batch.Zstd} {
		b, err := batch.Build([]batch.Record{{Value: make([]byte, 90<<20)}}, batch.NoProducer(codec))
		if err != nil {
			v.t.Fatal(err)
		}
		v.attack(v.Kafka(), 35, slices.Repeat([][]byte{produced(b)}, 20)...)
	}
}

// descriptions are of a group with 2,500 offsets, each with 4,000 bytes of metadata.
func (v *victim) descriptions() {
	v.attack(v.HTTP(), 200, []byte("GET /v1/groups/g HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

func (v *victim) idleHTTP() {
	v.attack(v.HTTP(), 2500, []byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

func (v *victim) slowReaders() {
	v.attack(v.HTTP(), 16, []byte("GET /v1/topics/read/partitions/0/records?offset=0&max_bytes=8388608 "+
		"HTTP/1.1\r\nHost: localhost\r\nAccept: application/vnd.firn.batches\r\n\r\n"))
	resp, err := http.Get("http://" + v.HTTP() + "/v1/topics/read/partitions/0/records?offset=0&max_records=1")
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		v.t.Errorf("beside slow readers, another is answered with %s, error %v", resp.Status, err)
	}
}
