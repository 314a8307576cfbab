package kafka_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
	"firn.dev/kafka"
)

func listenAt(t testing.TB, name string, secure *tls.Config) kafka.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return kafka.Listener{Listener: l, Name: name, TLS: secure}
}

func certificates(t testing.TB, files login.Files) *login.Certificates {
	t.Helper()
	c, err := login.LoadCertificates(files, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Clients are told the addresses of the listener that they came through, and go on there.
func TestEachListenerTellsItsOwnAddresses(t *testing.T) {
	authority := logintest.NewAuthority(t)
	files := authority.Write(t.TempDir(), authority.Issue(pkix.Name{CommonName: "server"}))
	inside, outside := listenAt(t, "inside", nil), listenAt(t, "outside", certificates(t, files).Config())
	f := startFirnBehind(t, kafka.Options{}, inside, outside)
	f.createWith(t, f.client(t), "t")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		secure := authority.Client()
		secure.MinVersion, secure.MaxVersion = version, version
		cl := f.client(t, kgo.SeedBrokers(outside.Addr().String()), kgo.DialTLSConfig(secure),
			kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"),
			kgo.ConsumerGroup(tls.VersionName(version)[4:]))
		value := bytes.Repeat([]byte("x"), 900_000) // many records of TLS
		if err := cl.ProduceSync(t.Context(), kgo.SliceRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		fetches := cl.PollFetches(t.Context()) // through Metadata, FindCoordinator and Fetch
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !bytes.Equal(r.Value, value) {
				t.Error("another record came back")
			}
		})
	}
	for _, l := range []kafka.Listener{inside, outside} {
		var opts []kgo.Opt
		if l.TLS != nil {
			opts = append(opts, kgo.DialTLSConfig(authority.Client()))
		}
		cl := f.client(t, append(opts, kgo.SeedBrokers(l.Addr().String()))...)
		want := int32(l.Addr().(*net.TCPAddr).Port)
		meta, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), cl)
		if err != nil || len(meta.Brokers) != 1 || meta.Brokers[0].Port != want {
			t.Errorf("%s: Metadata names %+v, %v; want port %d", l.Name, meta.Brokers, err, want)
		}
		described, err := kmsg.NewPtrDescribeClusterRequest().RequestWith(t.Context(), cl)
		if err != nil || len(described.Brokers) != 1 || described.Brokers[0].Port != want {
			t.Errorf("%s: DescribeCluster names %+v, %v; want port %d", l.Name, described.Brokers, err, want)
		}
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKeys = []string{"g"}
		found, err := find.RequestWith(t.Context(), cl)
		if err != nil || found.Coordinators[0].Port != want {
			t.Errorf("%s: FindCoordinator names %+v, %v; want port %d", l.Name, found, err, want)
		}
	}
}

// whoAsked allows everything and remembers who asked.
type whoAsked struct {
	last atomic.Pointer[access.Principal]
}

func (w *whoAsked) Allows(c access.Client, _ access.Operation, _ access.Resource) bool {
	w.last.Store(&c.Principal)
	return true
}

func TestClientCertificates(t *testing.T) {
	authority, stranger := logintest.NewAuthority(t), logintest.NewAuthority(t)
	files := authority.Write(t.TempDir(), authority.Issue(pkix.Name{CommonName: "server"}))
	files.ClientAuth = "require"
	l, who := listenAt(t, "mtls", certificates(t, files).Config()), &whoAsked{}
	f := startFirnBehind(t, kafka.Options{Authorizer: who}, l)
	for name, own := range map[string][]tls.Certificate{
		"none": nil, "one of another authority": {stranger.Issue(pkix.Name{CommonName: "alice"})},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := f.client(t, kgo.DialTLSConfig(authority.Client(own...))).Ping(ctx); err == nil {
			t.Errorf("a client whose certificate is %s is served", name)
		}
		cancel()
	}
	alice := authority.Issue(pkix.Name{CommonName: "alice", Organization: []string{"Example"}})
	cl := f.client(t, kgo.DialTLSConfig(authority.Client(alice)))
	if _, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	f.createWith(t, cl, "t")
	if got := who.last.Load(); got == nil || got.String() != "User:CN=alice,O=Example" {
		t.Errorf("the principal is %v", got)
	}
}

// createWith has a client create a topic.
func (f *firn) createWith(t *testing.T, cl *kgo.Client, topic string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("creating a topic: %+v, %v", resp, err)
	}
}

// Certificates are replaced while clients produce, each record over a new connection: none fails.
func TestCertificatesReplacedUnderLoad(t *testing.T) {
	authority, dir := logintest.NewAuthority(t), t.TempDir()
	files := authority.Write(dir, authority.Issue(pkix.Name{CommonName: "first"}))
	l := listenAt(t, "tls", certificates(t, files).Config())
	f := startFirnBehind(t, kafka.Options{}, l)
	f.createWith(t, f.client(t, kgo.DialTLSConfig(authority.Client())), "t")
	var shown atomic.Pointer[string]
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := (&tls.Dialer{Config: authority.Client()}).DialContext(ctx, network, address)
		if err == nil {
			shown.Store(&nc.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName)
		}
		return nc, err
	}
	replaced := false
	for begun, n := time.Now(), 0; shown.Load() == nil || *shown.Load() != "second"; n++ {
		if time.Since(begun) > 30*time.Second {
			t.Fatal("the new certificate is not shown")
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(f.address), kgo.Dialer(dial), kgo.DefaultProduceTopic("t"),
			kgo.RecordRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		err = cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr()
		cl.Close()
		if err != nil {
			t.Fatalf("record %d: %v", n, err)
		}
		if n == 5 && !replaced {
			authority.Write(dir, authority.Issue(pkix.Name{CommonName: "second"}))
			replaced = true
		}
	}
}

// Strangers that begin handshakes and do not go on keep nobody out, and are few.
func TestHalfOpenHandshakesAreFew(t *testing.T) {
	authority := logintest.NewAuthority(t)
	files := authority.Write(t.TempDir(), authority.Issue(pkix.Name{CommonName: "server"}))
	l := listenAt(t, "tls", certificates(t, files).Config())
	const most = 10
	f := startFirnBehind(t, kafka.Options{Limits: kafka.Limits{MaxStrangers: most, MaxConnections: 30}}, l)
	var strangers []net.Conn
	for range 100 {
		nc := dial(t, f.address)
		defer nc.Close()
		strangers = append(strangers, nc)
	}
	for i, stranger := range strangers[:len(strangers)-most] {
		stranger.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := stranger.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Fatalf("stranger %d was not closed: %v", i, err)
		}
	}
	cl := f.client(t, kgo.DialTLSConfig(authority.Client()))
	if err := cl.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.OpenConnections(); n > 30 {
		t.Errorf("%d connections are open", n)
	}
}
