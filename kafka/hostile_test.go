package kafka_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// neighbour is a well-behaved client that asks something again and again while others misbehave, on
// one connection.
func neighbour(t *testing.T, address string) (stop func()) {
	t.Helper()
	nc := dial(t, address)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := int32(0); ; n++ {
			select {
			case <-quit:
				return
			default:
			}
			if err := askVersions(nc, n); err != nil {
				t.Errorf("the neighbour noticed: %v", err)
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// askVersions asks for the API versions, and checks that it gets them.
func askVersions(nc net.Conn, correlation int32) error {
	if _, err := nc.Write(frame(apiVersionsRequest(3), correlation)); err != nil {
		return err
	}
	body, err := readFrame(nc)
	if err != nil {
		return err
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != correlation {
		return errors.New("the answer to another request")
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = 3
	return resp.ReadFrom(body[4:])
}

// wantClosed fails unless the server closes the connection without a word.
func wantClosed(t *testing.T, nc net.Conn) {
	t.Helper()
	rest, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) || len(rest) > 0 {
		t.Fatalf("%d bytes, error %v; want the connection closed", len(rest), err)
	}
}

// inUse is the memory that the process holds after a collection.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// sized is a request head: length, API key, version, correlation id.
func sized(length int32, key, version int16, rest ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(length))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 1)
	return append(b, rest...)
}

func TestMalformedRequestsCloseTheirConnectionAlone(t *testing.T) {
	s := serve(t, kafka.Options{Limits: kafka.Limits{ReadTimeout: 200 * time.Millisecond}})
	stop := neighbour(t, s.address)
	defer stop()
	whole := frame(apiVersionsRequest(3), 1)
	for name, sent := range map[string][]byte{
		"length 0":                     sized(0, 18, 3),
		"length 7":                     sized(7, 18, 3),
		"negative length":              sized(-1, 18, 3),
		"smallest length":              sized(-1<<31, 0, 9),
		"largest length":               sized(1<<31-1, 0, 9),
		"a byte above MaxRequestBytes": sized(100<<20+1, 0, 9),
		"above MaxAdminRequestBytes":   sized(1<<20+1, 3, 9),
		"unknown API":                  sized(8, 9999, 0),
		"negative API":                 sized(8, -1, 0),
		"version not served":           sized(8, 0, 99),
		"Produce v0":                   sized(8, 0, 0),
		"client id beyond the end":     sized(10, 18, 3, 0x7f, 0xff),
		"client id of length -2":       sized(10, 18, 3, 0xff, 0xfe),
		"no client id":                 sized(8, 18, 3),
		"four billion header tags":     sized(15, 18, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"four billion tags":            sized(18, 18, 3, 0xff, 0xff, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"a billion topics":             sized(14, 3, 1, 0xff, 0xff, 0x3f, 0xff, 0xff, 0xff),
		"a billion topics to write":    sized(22, 0, 3, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x3f, 0xff, 0xff, 0xff),
		"cut short":                    whole[:len(whole)-1],
		"cut in the length":            whole[:3],
		"an HTTP request":              []byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
		"a TLS hello":                  {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03},
	} {
		t.Run(name, func(t *testing.T) {
			nc := dial(t, s.address)
			if _, err := nc.Write(sent); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, nc)
		})
	}
	if n := s.OpenConnections(); n > 2 {
		t.Errorf("%d connections are open", n)
	}
}

// Random bytes, and requests with a few random bytes in them, never do more than end their
// connection.
func TestNoiseEndsItsConnectionAtMost(t *testing.T) {
	s := serve(t, kafka.Options{Limits: kafka.Limits{ReadTimeout: 50 * time.Millisecond}})
	stop := neighbour(t, s.address)
	defer stop()
	var senders sync.WaitGroup
	for seed := range uint64(8) {
		senders.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 1))
			for range 40 {
				nc, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Error(err)
					return
				}
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				nc.Write(noise(rnd))
				if half, ok := nc.(*net.TCPConn); ok {
					half.CloseWrite()
				}
				if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the connection hangs")
				}
				nc.Close()
			}
		})
	}
	senders.Wait()
	if n := s.metric(t, "panics_total"); n > 0 {
		t.Errorf("%v panics", n)
	}
}

// noise is random, or a request of an API that needs no log behind it, damaged.
func noise(rnd *rand.Rand) []byte {
	b := make([]byte, 4+rnd.IntN(200))
	if rnd.IntN(2) == 0 {
		req := apiVersionsRequest(int16(rnd.IntN(5)))
		kafka.Randomise(reflect.ValueOf(req).Elem(), rnd)
		b = frame(req, rnd.Int32())
		b[rnd.IntN(len(b))] ^= byte(1 + rnd.IntN(255))
		return b
	}
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// Announcing a large request costs the server nothing: a thousand connections that each announce
// 100 MiB hold less than a few MiB in all, and are closed once they have been silent for too long.
func TestAnnouncedBytesAreNotAllocated(t *testing.T) {
	const clients = 1000
	s := serve(t, kafka.Options{Limits: kafka.Limits{ReadTimeout: 2 * time.Second}})
	stop := neighbour(t, s.address)
	defer stop()
	before := inUse()
	var open []net.Conn
	for range clients {
		nc := dial(t, s.address)
		if _, err := nc.Write(sized(100<<20, 0, 9)); err != nil {
			t.Fatal(err)
		}
		open = append(open, nc)
	}
	waitUntil(t, func() bool { return s.Requests().Own() >= clients*kafka.FirstStepBytes })
	if grown := inUse() - before; grown > clients*(kafka.FirstStepBytes+48<<10) {
		t.Errorf("%d connections hold %d MiB", clients, grown>>20)
	}
	if used := s.Requests().Used(); used > 0 {
		t.Errorf("%d bytes of the memory that others share are taken", used)
	}
	for _, nc := range open {
		wantClosed(t, nc)
	}
	waitUntil(t, func() bool { return s.Requests().Own() <= 1<<20 })
}

// A client that sends a byte now and then is not waited for: what has begun has to come on.
func TestSlowRequestIsCutOff(t *testing.T) {
	address := serve(t, kafka.Options{Limits: kafka.Limits{ReadTimeout: 100 * time.Millisecond}}).address
	nc := dial(t, address)
	request := frame(apiVersionsRequest(3), 1)
	began := time.Now()
	for i := 0; ; i++ {
		if _, err := nc.Write(request[i%len(request):][:1]); err != nil {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("still connected")
		}
		time.Sleep(40 * time.Millisecond) // this is the slow client
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	address := serve(t, kafka.Options{Limits: kafka.Limits{IdleTimeout: 50 * time.Millisecond}}).address
	wantClosed(t, dial(t, address))
}

func TestConnectionLimits(t *testing.T) {
	for name, limits := range map[string]kafka.Limits{"total": {MaxConnections: 3}, "per IP": {MaxConnectionsPerIP: 3}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, kafka.Options{Limits: limits})
			var open []net.Conn
			for i := range int32(3) {
				nc := dial(t, s.address)
				if err := askVersions(nc, i); err != nil {
					t.Fatal(err)
				}
				open = append(open, nc)
			}
			wantClosed(t, dial(t, s.address))
			open[0].Close()
			waitUntil(t, func() bool { return s.OpenConnections() == 2 })
			if err := askVersions(dial(t, s.address), 4); err != nil {
				t.Errorf("room again, but: %v", err)
			}
		})
	}
}

// When the memory for requests is used up, requests wait, and those that wait too long are refused;
// nothing else happens.
func TestRequestMemoryIsBounded(t *testing.T) {
	const limit = 40 << 20
	s := serve(t, kafka.Options{Limits: kafka.Limits{
		RequestMemoryBytes: limit, MaxRequestBytes: 32 << 20, ReadTimeout: 300 * time.Millisecond,
	}})
	var clients sync.WaitGroup
	for range 8 {
		nc := dial(t, s.address)
		clients.Go(func() {
			nc.Write(sized(30<<20, 0, 9))
			nc.Write(make([]byte, 20<<20)) // and then no more
			wantClosed(t, nc)
		})
	}
	clients.Wait()
	waitUntil(t, func() bool { return s.OpenConnections() == 0 })
	if used := s.Requests().Used(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
	if err := askVersions(dial(t, s.address), 1); err != nil {
		t.Error(err)
	}
}

// A panic in a handler is its own connection's end and nobody else's.
func TestPanicClosesItsConnectionAlone(t *testing.T) {
	s := serve(t, kafka.Options{}) // without groups, so that Heartbeat panics
	stop := neighbour(t, s.address)
	defer stop()
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	heartbeat.Version = 4
	heartbeat.Group, heartbeat.MemberID = "g", "m"
	nc := dial(t, s.address)
	if _, err := nc.Write(frame(heartbeat, 1)); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, nc)
	if n := s.metric(t, "panics_total"); n != 1 {
		t.Errorf("%v panics were counted", n)
	}
}
