package kafka_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/kafka"
	"firn.dev/segments/memory"
)

// serve runs a server with a node, which ApiVersions asks for levels of features, and without a log
// behind it: nothing that it serves needs topics.
func serve(t *testing.T, opts kafka.Options) *firn {
	t.Helper()
	node, err := coordinator.Join(t.Context(), coordinator.NodeOptions{
		Store: memory.New(), Coordinator: embedded.New(embedded.Options{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	opts.Node = node
	registry := prometheus.NewRegistry()
	opts.Registerer = registry
	s, err := kafka.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, kafka.Listener{Listener: l, Name: kafka.DefaultListener}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &firn{Server: s, address: l.Addr().String(), node: node, opts: opts, registry: registry, stop: cancel}
}

// dial opens a raw connection that fails the test rather than hang.
func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

// frame is a request on the wire.
func frame(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, correlation)
}

// readFrame reads one response without its length.
func readFrame(nc net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(nc, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(nc, body)
	return body, err
}

// skipFrame reads one response and throws it away. It returns its length.
func skipFrame(nc net.Conn) (int64, error) {
	var size [4]byte
	if _, err := io.ReadFull(nc, size[:]); err != nil {
		return 0, err
	}
	return io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(size[:])))
}

func apiVersionsRequest(version int16) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = version
	req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
	return req
}

func TestApiVersionsAnswersEveryVersionThereWillEverBe(t *testing.T) {
	apis := kafka.APIs()
	newest := apis[slices.IndexFunc(apis, func(a kafka.API) bool { return a.Key == kmsg.ApiVersions })].Max
	nc := dial(t, startFirn(t, kafka.Options{}).address)
	for correlation, version := range []int16{0, 1, 2, 3, 4, 5, 99, -1} {
		if _, err := nc.Write(frame(apiVersionsRequest(version), int32(correlation))); err != nil {
			t.Fatal(err)
		}
		body, err := readFrame(nc)
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if got := int32(binary.BigEndian.Uint32(body)); got != int32(correlation) {
			t.Fatalf("correlation id %d, want %d", got, correlation)
		}
		resp, want := kmsg.NewPtrApiVersionsResponse(), int16(0)
		if version >= 0 && version <= newest {
			resp.Version = version
		} else {
			want = kerr.UnsupportedVersion.Code
		}
		if err := resp.ReadFrom(body[4:]); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if resp.ErrorCode != want || len(resp.ApiKeys) != len(apis) {
			t.Errorf("version %d: error %d, want %d; %d keys of %d", version, resp.ErrorCode, want, len(resp.ApiKeys), len(apis))
		}
	}
}

func TestUnservedAPIsCloseTheConnection(t *testing.T) {
	nc := dial(t, serve(t, kafka.Options{}).address)
	shutdown := kmsg.NewPtrControlledShutdownRequest()
	shutdown.Version = 2
	nc.Write(frame(shutdown, 1))
	if rest, err := io.ReadAll(nc); err != nil && !bytes.Contains([]byte(err.Error()), []byte("reset")) || len(rest) > 0 {
		t.Fatalf("%d bytes, error %v; want the connection closed", len(rest), err)
	}
}

// waitUntil waits for something that happens by itself.
func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
		time.Sleep(time.Millisecond)
	}
}
