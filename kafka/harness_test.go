package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/security"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/kafka"
	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/transactions"
)

// firn is a server with a whole log behind it, in memory.
type firn struct {
	*kafka.Server
	address  string
	node     *coordinator.Node
	opts     kafka.Options
	registry *prometheus.Registry
	stop     func() // has the server answer what it has, and end
}

// startFirn starts a server for the length of the test. The rooms behind it are filled into opts.
func startFirn(t testing.TB, opts kafka.Options) *firn {
	t.Helper()
	return startFirnOn(t, opts, memory.New(), 0)
}

// startFirnOn is startFirn on a store, with an index that keeps so many bytes of what was written
// last.
func startFirnOn(t testing.TB, opts kafka.Options, store segments.Store, tailBytes int64) *firn {
	t.Helper()
	return startNode(t, opts, store, tailBytes, embedded.New(embedded.Options{}), 7)
}

// startNode is startFirnOn with a coordinator that other nodes may have too. If the authorizer is
// underRules, it becomes that of the node's ACLs.
func startNode(t testing.TB, opts kafka.Options, store segments.Store, tailBytes int64,
	c coordinator.Coordinator, id int32) *firn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startAt(t, opts, store, tailBytes, c, id, kafka.Listener{Listener: l, Name: kafka.DefaultListener})
}

// startFirnBehind is startFirn with listeners of the caller's.
func startFirnBehind(t testing.TB, opts kafka.Options, listeners ...kafka.Listener) *firn {
	t.Helper()
	return startAt(t, opts, memory.New(), 0, embedded.New(embedded.Options{}), 7, listeners...)
}

// startAt is startNode with listeners of the caller's.
func startAt(t testing.TB, opts kafka.Options, store segments.Store, tailBytes int64,
	c coordinator.Coordinator, id int32, listeners ...kafka.Listener) *firn {
	t.Helper()
	var told []coordinator.Listener
	for _, l := range listeners {
		at := l.Addr().(*net.TCPAddr)
		told = append(told, coordinator.Listener{Name: l.Name, Host: at.IP.String(), Port: int32(at.Port)})
	}
	var err error
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	metrics := prometheus.NewRegistry()
	opts.Registerer = metrics
	opts.Node, err = coordinator.Join(t.Context(), coordinator.NodeOptions{
		Store: store, Coordinator: c, Logger: opts.Logger, Registerer: metrics,
		Info: coordinator.NodeInfo{ID: id, KafkaHost: told[0].Host, KafkaPort: told[0].Port, Listeners: told,
			Zone: fmt.Sprint("zone-", id)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if opts.Quotas == nil {
		opts.Quotas = security.NewQuotas(opts.Node.View(), opts.Logger)
	}
	if rules, acls := opts.Authorizer.(underRules); acls {
		opts.Authorizer = security.NewACLs(opts.Node.View(), rules.Rules, opts.Logger)
	}
	opts.Index, err = index.New(
		index.Options{
			Store:      store,
			TailBytes:  tailBytes,
			View:       opts.Node.View(),
			Logger:     opts.Logger,
			Registerer: metrics,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	opts.Writer, err = ingest.New(ingest.Options{
		Store: store, Node: opts.Node, Logger: opts.Logger, Registerer: metrics, Sealed: opts.Index.Keep,
	})
	if err != nil {
		t.Fatal(err)
	}
	opts.Groups, err = groups.New(groups.Options{Node: opts.Node, Logger: opts.Logger, Registerer: metrics,
		InitialRebalanceDelay: 50 * time.Millisecond, MinSessionTimeout: 100 * time.Millisecond,
		ConsumerSessionTimeout: time.Second, ConsumerHeartbeatInterval: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	opts.Transactions, err = transactions.New(
		transactions.Options{Node: opts.Node, Writer: opts.Writer, Logger: opts.Logger,
			Registerer: metrics, Interval: 50 * time.Millisecond},
	)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kafka.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listeners...) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		stop()
		for _, err := range []error{<-done, opts.Transactions.Close(ctx), opts.Writer.Close(ctx), opts.Groups.Close(ctx),
			opts.Index.Close(), opts.Node.Close(ctx)} {
			if err != nil {
				t.Errorf("stopping the server: %v", err)
			}
		}
	})
	return &firn{s, listeners[0].Addr().String(), opts.Node, opts, metrics, stop}
}

// metric returns the value of a metric of the server that has no labels.
func (f *firn) metric(t testing.TB, name string) float64 {
	t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "firn_kafka_"+name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// underRules stands for the ACLs of a node that does not run yet.
type underRules struct {
	access.Authorizer
	acl.Rules
}

// client returns a franz-go client of the server.
func (f *firn) client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(f.address)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// admin returns an admin client of the server.
func (f *firn) admin(t testing.TB) *kadm.Client {
	t.Helper()
	return kadm.NewClient(f.client(t))
}

// createTopic creates a topic. Configs are name and value, in turn.
func (f *firn) createTopic(t testing.TB, name string, partitions int32, configs ...string) *coordinator.Topic {
	t.Helper()
	set := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		set[configs[i]] = &configs[i+1]
	}
	if _, err := f.admin(t).CreateTopic(t.Context(), partitions, 1, set, name); err != nil {
		t.Fatal(err)
	}
	if err := f.node.CatchUp(t.Context()); err != nil { // another node may be the controller
		t.Fatal(err)
	}
	topic := f.node.View().Topic(name)
	if topic == nil {
		t.Fatalf("topic %s is created and not there", name)
	}
	return topic
}

// produce writes one record for each value, to one partition, in one batch, with the timestamps at,
// at+1, … milliseconds.
func (f *firn) produce(t testing.TB, topic string, partition int32, at time.Time, values ...string) {
	t.Helper()
	cl := f.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(10*time.Millisecond))
	var records []*kgo.Record
	for i, value := range values {
		at := at.Add(time.Duration(i) * time.Millisecond)
		records = append(
			records,
			&kgo.Record{Topic: topic, Partition: partition, Timestamp: at, Value: []byte(value)},
		)
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// ask sends one request, in the version that it is set to, on a connection of its own, and decodes
// the answer.
func ask[Resp kmsg.Response](t testing.TB, f *firn, req kmsg.Request) Resp {
	t.Helper()
	nc, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return askOn[Resp](t, nc, req)
}

// askOn is ask on a connection that is there.
func askOn[Resp kmsg.Response](t testing.TB, nc net.Conn, req kmsg.Request) Resp {
	t.Helper()
	if _, err := nc.Write(frame(req, 1)); err != nil {
		t.Fatal(err)
	}
	body, err := readFrame(nc)
	if err != nil {
		t.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	resp := req.ResponseKind()
	head := 4
	if resp.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		head = 5
	}
	if err := resp.ReadFrom(body[head:]); err != nil {
		t.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp.(Resp)
}

// wantCode compares an error code with the expected error; nil is none.
func wantCode(t testing.TB, what string, code int16, want *kerr.Error) {
	t.Helper()
	wanted := int16(0)
	if want != nil {
		wanted = want.Code
	}
	if code != wanted {
		t.Errorf("%s: error %v, want %v", what, kerr.ErrorForCode(code), want)
	}
}
