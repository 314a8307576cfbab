package rest_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
	"firn.dev/transactions"
)

// inBubble runs a node in a bubble, where time passes when nothing else happens, and a connection
// to it.
func inBubble(t *testing.T, body func(t *testing.T, f *firn, c net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		f := startNodeOn(t, p, memory.New(), embedded.New(embedded.Options{}), 1, nil)
		f.writeValues(t, f.makeTopic(t, "orders", 1), 0, "a")
		c, _ := p.dial()
		defer c.Close()
		body(t, f, c)
	})
}

// TestLongPollOutlastsTimeouts: who waits for longer than a request may take to arrive is not let
// go for it.
func TestLongPollOutlastsTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T, f *firn, c net.Conn) {
		go func() {
			_, _ = io.WriteString(c, "GET /v1/topics/orders/partitions/0/records?from=latest&wait=58s HTTP/1.1\r\nHost: "+
				"localhost\r\n\r\n")
		}()
		var writing sync.WaitGroup
		writing.Go(func() {
			time.Sleep(50 * time.Second)
			f.writeValues(t, f.node.View().Topic("orders"), 0, "late")
		})
		defer writing.Wait()
		began := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if took := time.Since(began); err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), `"late"`) ||
			took < 50*time.Second || took > 52*time.Second {
			t.Errorf("after %v: %s, %s, %v", took, resp.Status, body, err)
		}
	})
}

// TestLongPollWaitsForAnEnding: records of an open transaction are not read, and nobody asks for
// them again and again.
func TestLongPollWaitsForAnEnding(t *testing.T) {
	inBubble(t, func(t *testing.T, f *firn, c net.Conn) {
		m, err := transactions.New(transactions.Options{Node: f.node, Writer: f.opts.Writer})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close(t.Context())
		p, err := m.Begin(t.Context(), "id", time.Minute, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := batch.Build([]batch.Record{{Timestamp: time.Now().UnixMilli(), Value: []byte("both")}},
			batch.Options{ProducerID: p.ProducerID, ProducerEpoch: p.Epoch, Transactional: true})
		if err != nil {
			t.Fatal(err)
		}
		h, err := batch.Check(b)
		if err != nil {
			t.Fatal(err)
		}
		written, err := f.opts.Writer.Append(t.Context(), []ingest.Batch{{Header: h, Bytes: b,
			Partition: segments.Partition{Topic: f.node.View().Topic("orders").ID}, Protocol: coordinator.Transactional}})
		if err != nil {
			t.Fatal(err)
		}
		if results, err := written.Wait(t.Context()); err != nil || results[0].Err != nil {
			t.Fatal(results, err)
		}
		go func() {
			_, _ = io.WriteString(c, "GET /v1/topics/orders/partitions/0/records?offset=1&wait=58s HTTP/1.1\r\nHost: "+
				"localhost\r\n\r\n")
		}()
		var ending sync.WaitGroup
		ending.Go(func() {
			time.Sleep(20 * time.Second)
			if _, err := m.End(t.Context(), "id", p, coordinator.Committed, true); err != nil {
				t.Error(err)
			}
		})
		defer ending.Wait()
		began := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if took := time.Since(began); err != nil || !strings.Contains(string(body), `"both"`) ||
			took < 20*time.Second || took > 22*time.Second {
			t.Errorf("after %v: %s, %s, %v", took, resp.Status, body, err)
		}
	})
}

// TestTailBeats: a tail on which nothing happens shows that it lives, for as long as it is wanted.
func TestTailBeats(t *testing.T) {
	inBubble(t, func(t *testing.T, f *firn, c net.Conn) {
		go func() { _, _ = io.WriteString(c, "GET /v1/topics/orders/tail HTTP/1.1\r\nHost: localhost\r\n\r\n") }()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(resp.Body)
		const heartbeat = 15 * time.Second
		began, beats := time.Now(), 0
		for beats < 20 && lines.Scan() {
			if strings.HasPrefix(lines.Text(), ":") {
				beats++
			}
		}
		if took := time.Since(began); beats != 20 || took < 20*heartbeat || took > 20*heartbeat+time.Second {
			t.Errorf("%d heartbeats in %v: %v", beats, took, lines.Err())
		}
	})
}

// TestTailOfNobody: a client that takes nothing any more is let go, and its place is free.
func TestTailOfNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, f *firn, c net.Conn) {
		const sendTimeout = 30 * time.Second
		const tail = "GET /v1/topics/orders/tail?from=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n"
		if _, err := io.WriteString(c, tail); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sendTimeout / 2)
		synctest.Wait()
		if f.Tails() != 1 {
			t.Errorf("%d tails", f.Tails())
		}
		time.Sleep(sendTimeout)
		synctest.Wait()
		if f.Tails() != 0 {
			t.Error("the tail is still there")
		}
	})
}
