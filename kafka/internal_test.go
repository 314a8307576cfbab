package kafka

import (
	"bytes"
	"crypto/tls"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
	"firn.dev/budget"
	"firn.dev/coordinator"
	"firn.dev/segments"
)

func TestReplicasAreOfAllZones(t *testing.T) {
	nodes := []coordinator.NodeInfo{{ID: 1, Zone: "a"}, {ID: 2, Zone: "a"}, {ID: 3, Zone: "b"}, {ID: 4, Zone: "b"},
		{ID: 5, Zone: "c"}}
	for _, c := range []struct {
		leader int32
		count  int16
		want   []int32
	}{
		{1, 1, []int32{1}}, {1, 3, []int32{1, 3, 5}}, {2, 3, []int32{2, 3, 5}}, {3, 2, []int32{3, 5}},
		{5, 4, []int32{5, 1, 3, 2}}, {4, 6, []int32{4, 5, 1, 2, 3, 4}},
	} {
		if got := replicasOf(nodes, []int32{c.leader}, c.count); !slices.Equal(got, c.want) {
			t.Errorf("%d replicas with leader %d: %v, want %v", c.count, c.leader, got, c.want)
		}
	}
}

func TestReplicasAreDistinctNodes(t *testing.T) {
	nodes := []coordinator.NodeInfo{{ID: 1}, {ID: 4}, {ID: 9}}
	for _, c := range []struct {
		leader int32
		count  int16
		want   []int32
	}{{4, 1, []int32{4}}, {4, 2, []int32{4, 9}}, {9, 3, []int32{9, 1, 4}}, {1, 4, []int32{1, 4, 9, 1}}} {
		if got := replicasOf(nodes, []int32{c.leader}, c.count); !slices.Equal(got, c.want) {
			t.Errorf("%d replicas with leader %d: %v, want %v", c.count, c.leader, got, c.want)
		}
	}
}

// The leader is among the replicas, whatever the client's zone and however few they are, and is the
// same on nodes that report another replication factor.
func TestLeaderIsAReplica(t *testing.T) {
	nodes := []coordinator.NodeInfo{{ID: 1, Zone: "a"}, {ID: 2, Zone: "b"}, {ID: 3, Zone: "c"}}
	for _, c := range []struct {
		zone     string
		count    int16
		assigned []int32
		want     []int32 // the replicas
		leader   int32
	}{
		{"", 2, []int32{3, 1}, []int32{3, 1}, 3},
		{"", 1, []int32{3, 1}, []int32{3}, 3},
		{"zone=a", 2, []int32{3, 1}, []int32{3, 1}, 1},
		{"zone=a", 1, []int32{3, 1}, []int32{1}, 1},
		{"zone=b", 2, []int32{3, 1}, []int32{2, 3}, 2},
		{"zone=b", 3, []int32{3, 1}, []int32{2, 3, 1}, 2},
		{"zone=b", 2, nil, []int32{2, 3}, 2},
	} {
		p := placement{nodes, nearby(nodes, c.zone)}
		leader, replicas := p.of(segments.Partition{}, replicaSet{c.count, c.assigned})
		if leader != c.leader || !slices.Equal(replicas, c.want) {
			t.Errorf("%q, %d of %v: leader %d of %v, want %d of %v", c.zone, c.count, c.assigned, leader, replicas,
				c.leader, c.want)
		}
	}
	topic := &coordinator.Topic{Partitions: 2, ReplicationFactor: 2, Assignment: coordinator.Assignment{{3, 1}}}
	for flag, want := range map[int16]replicaSet{0: {2, []int32{3, 1}}, 1: {1, []int32{3, 1}}, 3: {3, []int32{3, 1}}} {
		s := &Server{opts: Options{ReportedReplicationFactor: flag}}
		if got := s.declared(topic, 0); got.count != want.count || !slices.Equal(got.assigned, want.assigned) {
			t.Errorf("with %d reported: %+v, want %+v", flag, got, want)
		}
	}
}

// TestWhoWantsPlain checks the names that clients give themselves.
func TestWhoWantsPlain(t *testing.T) {
	for software, want := range map[string]bool{
		"": true, "kafka-python 2.2.3": true, "kgo v1.22.2": false, "apache-kafka-java 4.4.0": false,
		"librdkafka 2.0.2": false,
	} {
		if got := (&peer{Software: software}).wantsPlain(); got != want {
			t.Errorf("%q: %v", software, got)
		}
	}
}

func TestReachable(t *testing.T) {
	nodes := []coordinator.NodeInfo{
		{ID: 1, KafkaHost: "old", KafkaPort: 1},
		{ID: 2, KafkaHost: "a", KafkaPort: 2, Listeners: []coordinator.Listener{{Name: DefaultListener, Host: "a", Port: 2}}},
		{ID: 3, KafkaHost: "b", KafkaPort: 3, Listeners: []coordinator.Listener{{Name: "in", Host: "b", Port: 3},
			{Name: "out", Host: "c", Port: 4}}},
	}
	for listener, want := range map[string]string{DefaultListener: "old a ", "in": "b ", "out": "c ", "none": ""} {
		got := ""
		for _, n := range reachable(nodes, listener) {
			got += n.KafkaHost + " "
		}
		if got != want {
			t.Errorf("a client of listener %s is told %q, want %q", listener, got, want)
		}
	}
}

// A client that takes an answer slowly over TLS gets all of it, while what the answer was part of
// is let go.
func TestSlowClientOverTLS(t *testing.T) {
	authority := logintest.NewAuthority(t)
	files := authority.Write(t.TempDir(), authority.Issue(pkix.Name{CommonName: "server"}))
	certificates, err := login.LoadCertificates(files, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	limits := Options{}.withDefaults().Limits
	memory := budget.New(limits.answerMemory())
	whole := make([]byte, 8<<20)
	for i := range whole {
		whole[i] = byte(i >> 10)
	}
	config := certificates.Config()
	now := time.Now() // for certificates: the bubble has a time of its own
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		hold := memory.Client(netip.MustParseAddr("127.0.0.1")).Hold()
		if !hold.TryGrow(int64(len(whole))) {
			t.Fatal("no memory")
		}
		out := &outgoing{bufs: net.Buffers{whole[:1], whole[1 : 5<<20], whole[5<<20:]}, left: len(whole), memory: hold}
		done := make(chan error, 1)
		secure := tls.Server(server, config)
		go func() { done <- out.encrypt(secure, 20*time.Second, time.Now().Add(20*time.Second)) }()
		trusting := authority.Client()
		trusting.Time = func() time.Time { return now }
		trusting.ServerName = "localhost"
		trusting.MaxVersion = tls.VersionTLS12 // 1.3 sends tickets at once, and a pipe buffers nothing
		in := tls.Client(client, trusting)
		if err := in.Handshake(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * asideAfter) // of the bubble
		got := make([]byte, len(whole))
		if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("the client got other bytes: %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !out.aside {
			t.Error("the rest was not set aside")
		}
	})
}

// A row that does not say what its requests need, or how they are throttled, does not start.
func TestRowsSayWhatTheyNeed(t *testing.T) {
	for name, r := range map[string]rules{
		"nothing": {quota: access.Requests}, "no quota": {open: true},
		"both": {open: true, needs: []access.Need{access.Read.On(access.Topic)}, quota: access.Requests},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: registered", name)
				}
			}()
			registerAPI(api{key: kmsg.Vote, rules: r})
		}()
	}
}

func TestQuotaClientsAreWhoTheyProvedToBe(t *testing.T) {
	alice := access.Client{Principal: access.Principal{Type: "User", Name: "alice"}}
	if got := quotaClient(alice, "app"); got.User != "alice" || got.ClientID != "app" {
		t.Errorf("alice is %+v", got)
	}
}
