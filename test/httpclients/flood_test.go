package httpclients

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process/processtest"
)

// flood is more than a server has memory for: requests at once, each of a body that does not
// compress.
type flood struct {
	t       *testing.T
	base    string
	left    atomic.Int64    // records that nobody has begun to write
	refused atomic.Int64    // with 429
	took    [floodSize]bool // by record; each is written by one connection

	full     chan struct{} // closed when somebody was refused
	fullOnce sync.Once
}

const (
	floodConnections = 200
	floodBody        = 800 << 10
	floodSize        = 200
	// requests whose last byte comes when somebody was refused: more than fit into the memory, so that
	// no machine is fast enough
	floodSlow = 40
)

// TestFlood: a server that is asked for a multiple of its memory at once refuses with 429 and
// Retry-After, stays within its limits as the operating system sees it, and has exactly what it
// acknowledged.
func TestFlood(t *testing.T) {
	const mib = 1 << 20
	server := processtest.Firn(t, "--http-memory", "16MiB", "--http-max-body", "1MiB", "--buffer-bytes", "16MiB",
		"--flush-bytes", "4MiB", "--cache-bytes", "8MiB", "--tail-bytes", "8MiB")
	f := &flood{t: t, base: "http://" + server.HTTP(), full: make(chan struct{})}
	call(t, http.MethodPost, f.base+"/v1/topics", "application/json", []byte(`{"name": "flood", "partitions": 4}`), nil)
	f.left.Store(floodSize)
	var connections sync.WaitGroup
	for range floodConnections {
		connections.Go(f.connection)
	}
	connections.Wait()
	usage, err := server.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests were taken, %d refused, and the server had %d MiB at most", floodSize, f.refused.Load(),
		usage.PeakBytes/mib)
	// What the flags allow, half as much again for the garbage collector (GOGC=50), and a program's
	// own 64 MiB. All bodies at once, and the batches made of them, are 312 MiB.
	if limit := int64((16+16+8+8)*3/2+64) * mib; usage.PeakBytes > limit {
		t.Errorf("the server had %d MiB, which is more than %d", usage.PeakBytes/mib, limit/mib)
	}
	if f.refused.Load() == 0 {
		t.Error("nothing was refused: the flood was none")
	}
	f.readBack(server.Kafka())
}

// connection makes one request after the other until enough were taken.
func (f *flood) connection() {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	body := make([]byte, floodBody)
	rand.NewChaCha8([32]byte{}).Read(body)
	for {
		n := f.left.Add(-1)
		if n < 0 || f.t.Context().Err() != nil {
			return
		}
		if !f.write(client, int(n), body) {
			return
		}
	}
}

// write writes record n, however often it is refused.
func (f *flood) write(client *http.Client, n int, body []byte) bool {
	for {
		resp, err := f.post(client, n, body)
		if err != nil {
			f.t.Errorf("request %d: %v", n, err)
			return false
		}
		said, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		after, number := strconv.Atoi(resp.Header.Get("Retry-After"))
		switch {
		case err != nil:
			f.t.Errorf("request %d: %v", n, err)
			return false
		case resp.StatusCode == http.StatusOK:
			f.took[n] = true
			return true
		case resp.StatusCode != http.StatusTooManyRequests || number != nil || after < 1 || !json.Valid(said):
			f.t.Errorf("request %d: %s, Retry-After %q: %s", n, resp.Status, resp.Header.Get("Retry-After"), said)
			return false
		}
		f.refused.Add(1)
		f.fullOnce.Do(func() { close(f.full) })
		time.Sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond) // sooner than it was told to
	}
}

func (f *flood) post(client *http.Client, n int, body []byte) (*http.Response, error) {
	var reader io.Reader = bytes.NewReader(body)
	if n < floodSlow {
		last := len(body) - 1
		reader = io.MultiReader(bytes.NewReader(body[:last]), gate(f.full), bytes.NewReader(body[last:]))
	}
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost,
		f.base+"/v1/topics/flood/records?key="+strconv.Itoa(n), reader)
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", "application/octet-stream")
	return client.Do(req)
}

// gate is a reader of nothing, which takes until the channel is closed.
type gate <-chan struct{}

func (g gate) Read([]byte) (int, error) {
	<-g
	return 0, io.EOF
}

// readBack wants each record that was acknowledged once, and no other.
func (f *flood) readBack(kafka string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics("flood"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	times := map[string]int{}
	for found, quiet := 0, false; !quiet; {
		ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
		if found >= floodSize {
			cancel()
			ctx, cancel = context.WithTimeout(f.t.Context(), time.Second) // is there more?
		}
		fetches := client.PollFetches(ctx)
		quiet = ctx.Err() != nil
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			found++
			times[string(r.Key)]++
			if len(r.Value) != floodBody {
				f.t.Errorf("record %s has %d bytes", r.Key, len(r.Value))
			}
		})
	}
	for n, took := range f.took {
		if want := map[bool]int{true: 1}[took]; times[strconv.Itoa(n)] != want {
			f.t.Errorf("record %d is there %d times, want %d", n, times[strconv.Itoa(n)], want)
		}
	}
}
