package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/security"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/rest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// Media types and header fields of the API.
const (
	typeJSON     = "application/json"
	typeNDJSON   = "application/x-ndjson"
	typeBytes    = "application/octet-stream"
	typeEvent    = "application/cloudevents+json"
	typeEvents   = "application/cloudevents-batch+json"
	typeBatches  = "application/vnd.firn.batches"
	typeV2JSON   = "application/vnd.kafka.json.v2+json"
	typeV2Binary = "application/vnd.kafka.binary.v2+json"

	idempotencyHeader = "Idempotency-Key"

	// of requests that nodes forward to each other
	forwardedField       = "Firn-Forwarded-By"
	forwardedClientField = "Firn-Forwarded-Client"
	forwardedProofField  = "Firn-Forwarded-Proof"
)

// sharedCoordinator is an embedded coordinator that several nodes use, as they use Redis.
type sharedCoordinator struct{ coordinator.Coordinator }

// firn is a node with a whole log behind it, in memory, that serves HTTP.
type firn struct {
	*rest.Server
	url    string
	node   *coordinator.Node
	writer *ingest.Writer
	opts   rest.Options
	stop   context.CancelFunc // of HTTP
}

// startFirn starts nodes of one cluster for the length of the test.
func startFirn(t testing.TB, n int, change func(*rest.Options)) []*firn {
	t.Helper()
	store, coord := memory.New(), embedded.New(embedded.Options{})
	nodes := make([]*firn, n)
	for i := range nodes {
		nodes[i] = startNode(t, store, sharedCoordinator{coord}, int32(i+1), change)
	}
	for _, f := range nodes { // until all have heard of all
		for until := time.Now().Add(20 * time.Second); len(f.node.Nodes()) < n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("node %d knows of %d nodes", f.node.Info().ID, len(f.node.Nodes()))
			}
		}
	}
	return nodes
}

func startNode(t testing.TB, store segments.Store, coord coordinator.Coordinator, id int32,
	change func(*rest.Options)) *firn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startNodeOn(t, l, store, coord, id, change)
}

func startNodeOn(t testing.TB, l net.Listener, store segments.Store, coord coordinator.Coordinator, id int32,
	change func(*rest.Options)) *firn {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(outputOf(t), &slog.HandlerOptions{Level: slog.LevelError}))
	registry := prometheus.NewRegistry()
	f := &firn{url: "http://" + l.Addr().String()}
	var err error
	f.node, err = coordinator.Join(t.Context(), coordinator.NodeOptions{Store: store, Coordinator: coord, Logger: logger,
		Registerer: registry,
		Info: coordinator.NodeInfo{ID: id, KafkaHost: "127.0.0.1", KafkaPort: 9092, HTTP: l.Addr().String(),
			Zone: "zone-a"}})
	if err != nil {
		t.Fatal(err)
	}
	opts := rest.Options{Node: f.node, View: f.node.View(), Gatherer: registry, Registerer: registry, Logger: logger}
	if opts.Index, err = index.New(index.Options{Store: store, View: f.node.View(), Logger: logger}); err != nil {
		t.Fatal(err)
	}
	if f.writer, err = ingest.New(ingest.Options{Store: store, Node: f.node, Logger: logger, Registerer: registry,
		Sealed: opts.Index.Keep}); err != nil {
		t.Fatal(err)
	}
	if opts.Groups, err = groups.New(groups.Options{Node: f.node, Logger: logger, Registerer: registry}); err != nil {
		t.Fatal(err)
	}
	opts.Writer, opts.Quotas = f.writer, security.NewQuotas(f.node.View(), logger)
	if change != nil {
		change(&opts)
	}
	f.opts = opts
	if f.Server, err = rest.New(opts); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx, l) }()
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		stop()
		err := errors.Join(<-served, f.writer.Close(closing))
		kept := opts.Groups.Close(closing)
		if _, forgets := coord.(*forgetful); !forgets { // whose groups may have offsets of a life that it forgot
			err = errors.Join(err, kept)
		}
		if err := errors.Join(err, opts.Index.Close(), f.node.Close(closing)); err != nil {
			t.Errorf("stopping node %d: %v", id, err)
		}
	})
	return f
}

// testOutput is the output of a test until it ends. The audit log sums refusals up a minute after
// the first, when the test may be over.
type testOutput struct {
	mu sync.Mutex
	to io.Writer
}

func outputOf(t testing.TB) io.Writer {
	o := &testOutput{to: t.Output()}
	t.Cleanup(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.to = io.Discard
	})
	return o
}

// Write implements io.Writer.
func (o *testOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(p)
}

// makeTopic creates a topic.
func (f *firn) makeTopic(t testing.TB, name string, partitions int32) *coordinator.Topic {
	t.Helper()
	create := &coordinator.CreateTopic{ID: segments.NewTopicID(), Name: name, Partitions: partitions}
	_, err := f.node.Change(t.Context(), coordinator.Change{CreateTopic: create})
	if err != nil {
		t.Fatal(err)
	}
	return f.node.View().Topic(name)
}

// writeValues writes a record for each value, in one batch, and returns when they are readable.
func (f *firn) writeValues(t testing.TB, topic *coordinator.Topic, partition int32, values ...string) {
	t.Helper()
	records := make([]ingest.Record, len(values))
	for i, v := range values {
		records[i] = ingest.Record{Partition: partition, Value: []byte(v), Timestamp: int64(1000 + i)}
	}
	f.writeRecords(t, topic, records)
}

// writeRecords writes records and returns when they are readable.
func (f *firn) writeRecords(t testing.TB, topic *coordinator.Topic, records []ingest.Record) {
	t.Helper()
	packed, err := ingest.Pack(records, ingest.PackOptions{Topic: topic.ID, Partitions: topic.Partitions, Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	var batches []ingest.Batch
	for _, p := range packed {
		batches = append(batches, p.Batch)
	}
	pending, err := f.writer.Append(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := pending.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
	}
}

// call sends a request to the node and decodes the answer, if v is not nil. A body that is no text
// is sent as JSON.
func (f *firn) call(t testing.TB, method, path string, body, v any) *http.Response {
	t.Helper()
	var sent io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		sent = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	if sent != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(answer, v); err != nil {
			t.Fatalf("%s %s: %s: %v in %s", method, path, resp.Status, err, answer)
		}
	}
	return resp
}

// serve answers a request without a connection.
func serve(s *rest.Server, r *http.Request) (status int, body []byte) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}
