package kafka_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/kafka"
	"firn.dev/segments/batch"
	"firn.dev/segments/memory"
	"firn.dev/topics"
)

// entityOf is an entity of types and names, in turn; a name of <default> stands for the default.
func entityOf(parts ...string) (entity []kmsg.AlterClientQuotasRequestEntryEntity) {
	for i := 0; i < len(parts); i += 2 {
		e := kmsg.AlterClientQuotasRequestEntryEntity{Type: parts[i]}
		if parts[i+1] != "<default>" {
			e.Name = &parts[i+1]
		}
		entity = append(entity, e)
	}
	return entity
}

// setQuota sets one quota of an entity, or removes it if the value is 0.
func (f *firn) setQuota(t testing.TB, key string, value float64, parts ...string) {
	t.Helper()
	resp := alterQuotas(t, f, false, kmsg.AlterClientQuotasRequestEntry{Entity: entityOf(parts...),
		Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: key, Value: value, Remove: value == 0}}})
	wantCode(t, key, resp[0].ErrorCode, nil)
}

func alterQuotas(t testing.TB, f *firn, validateOnly bool,
	entries ...kmsg.AlterClientQuotasRequestEntry) []kmsg.AlterClientQuotasResponseEntry {
	t.Helper()
	req := &kmsg.AlterClientQuotasRequest{Version: 1, ValidateOnly: validateOnly, Entries: entries}
	return ask[*kmsg.AlterClientQuotasResponse](t, f, req).Entries
}

// describeQuotas lists what a filter finds, an entity a line.
func describeQuotas(t testing.TB, f *firn, strict bool, filter ...kmsg.DescribeClientQuotasRequestComponent) string {
	t.Helper()
	resp := ask[*kmsg.DescribeClientQuotasResponse](t, f,
		&kmsg.DescribeClientQuotasRequest{Version: 1, Strict: strict, Components: filter})
	wantCode(t, "DescribeClientQuotas", resp.ErrorCode, nil)
	var lines []string
	for _, e := range resp.Entries {
		var words []string
		for _, part := range e.Entity {
			name := "<default>"
			if part.Name != nil {
				name = *part.Name
			}
			words = append(words, part.Type+"="+name)
		}
		for _, v := range e.Values {
			words = append(words, fmt.Sprintf("%s:%v", v.Key, v.Value))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestClientQuotas(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.setQuota(t, "producer_byte_rate", 1000, "user", "alice")
	f.setQuota(t, "request_percentage", 12.5, "user", "alice")
	f.setQuota(t, "consumer_byte_rate", 2000, "client-id", "app", "user", "alice")
	f.setQuota(t, "producer_byte_rate", 3000, "user", "<default>", "client-id", "<default>")
	f.setQuota(t, "controller_mutation_rate", 4, "client-id", "app")
	f.setQuota(t, "connection_creation_rate", 5, "ip", "10.0.0.7")
	f.setQuota(t, "connection_creation_rate", 6, "ip", "<default>")
	f.setQuota(t, "producer_byte_rate", 7, "user", "bob")
	f.setQuota(t, "producer_byte_rate", 0, "user", "bob")
	f.setQuota(t, "producer_byte_rate", 0, "user", "nobody") // as in Kafka: it is gone
	type component = kmsg.DescribeClientQuotasRequestComponent
	const matchDefault, matchAny = 1, 2
	const (
		user     = "user=alice producer_byte_rate:1000 request_percentage:12.5"
		userApp  = "client-id=app user=alice consumer_byte_rate:2000"
		app      = "client-id=app controller_mutation_rate:4"
		defaults = "client-id=<default> user=<default> producer_byte_rate:3000"
		ip       = "ip=10.0.0.7 connection_creation_rate:5"
		ips      = "ip=<default> connection_creation_rate:6"
	)
	for name, c := range map[string]struct {
		strict bool
		filter []component
		want   []string
	}{
		"all":         {false, nil, []string{user, userApp, app, defaults, ip, ips}},
		"nothing":     {true, nil, nil},
		"alice":       {false, []component{{EntityType: "user", Match: new("alice")}}, []string{user, userApp}},
		"just alice":  {true, []component{{EntityType: "user", Match: new("alice")}}, []string{user}},
		"all users":   {false, []component{{EntityType: "user", MatchType: matchAny}}, []string{user, userApp, defaults}},
		"defaults":    {false, []component{{EntityType: "user", MatchType: matchDefault}}, []string{defaults}},
		"no user":     {false, []component{{EntityType: "user", Match: new("bob")}}, nil},
		"just an app": {true, []component{{EntityType: "client-id", MatchType: matchAny}}, []string{app}},
		"pairs": {true, []component{{EntityType: "client-id", MatchType: matchAny},
			{EntityType: "user", MatchType: matchAny}}, []string{userApp, defaults}},
		"an ip":  {true, []component{{EntityType: "ip", Match: new("10.0.0.7")}}, []string{ip}},
		"any ip": {true, []component{{EntityType: "ip", MatchType: matchAny}}, []string{ip, ips}},
	} {
		slices.Sort(c.want)
		if got, want := describeQuotas(t, f, c.strict, c.filter...), strings.Join(c.want, "\n"); got != want {
			t.Errorf("%s: described are\n%s\nwant\n%s", name, got, want)
		}
	}
	for name, c := range map[string]struct {
		filter []component
		want   *kerr.Error
	}{
		"no type": {[]component{{Match: new("a")}}, kerr.InvalidRequest},
		"a type twice": {[]component{{EntityType: "user", Match: new("a")}, {EntityType: "user", Match: new("a")}},
			kerr.InvalidRequest},
		"no such type":   {[]component{{EntityType: "team", Match: new("a")}}, kerr.UnsupportedVersion},
		"no such match":  {[]component{{EntityType: "user", MatchType: 3}}, kerr.InvalidRequest},
		"exact, no name": {[]component{{EntityType: "user"}}, kerr.InvalidRequest},
		"default, named": {[]component{{EntityType: "user", MatchType: matchDefault, Match: new("a")}}, kerr.InvalidRequest},
		"a user's ip": {[]component{{EntityType: "user", Match: new("a")}, {EntityType: "ip", Match: new("10.0.0.7")}},
			kerr.InvalidRequest},
	} {
		resp := ask[*kmsg.DescribeClientQuotasResponse](t, f,
			&kmsg.DescribeClientQuotasRequest{Version: 1, Components: c.filter})
		wantCode(t, name, resp.ErrorCode, c.want)
	}
}

// What is wrong is refused for its entity alone, and nothing of it is done.
func TestQuotasThatAreRefused(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	op := func(key string, value float64) kmsg.AlterClientQuotasRequestEntryOp {
		return kmsg.AlterClientQuotasRequestEntryOp{Key: key, Value: value}
	}
	good := kmsg.AlterClientQuotasRequestEntry{Entity: entityOf("user", "good"),
		Ops: []kmsg.AlterClientQuotasRequestEntryOp{op("producer_byte_rate", 1000)}}
	rate := op("producer_byte_rate", 1000)
	names := []string{"unknown key", "key of ips", "zero", "negative", "a fraction", "the key twice", "no entity",
		"empty name", "unknown type", "a type twice", "ip with user", "host name", "an entity twice", "it again",
		"an address twice", "it in other words"}
	entries := []kmsg.AlterClientQuotasRequestEntry{good}
	for _, e := range []struct {
		entity []kmsg.AlterClientQuotasRequestEntryEntity
		ops    []kmsg.AlterClientQuotasRequestEntryOp
	}{
		{entityOf("user", "a"), []kmsg.AlterClientQuotasRequestEntryOp{rate, op("speed", 1)}},
		{entityOf("user", "b"), []kmsg.AlterClientQuotasRequestEntryOp{rate, op("connection_creation_rate", 1)}},
		{entityOf("user", "c"), []kmsg.AlterClientQuotasRequestEntryOp{op("producer_byte_rate", 0)}},
		{entityOf("user", "d"), []kmsg.AlterClientQuotasRequestEntryOp{op("request_percentage", -1)}},
		{entityOf("user", "e"), []kmsg.AlterClientQuotasRequestEntryOp{op("consumer_byte_rate", 1.5)}},
		{entityOf("user", "f"), []kmsg.AlterClientQuotasRequestEntryOp{rate, rate}},
		{nil, []kmsg.AlterClientQuotasRequestEntryOp{rate}},
		{entityOf("user", ""), []kmsg.AlterClientQuotasRequestEntryOp{rate}},
		{entityOf("team", "a"), []kmsg.AlterClientQuotasRequestEntryOp{rate}},
		{entityOf("user", "g", "user", "h"), []kmsg.AlterClientQuotasRequestEntryOp{rate}},
		{entityOf("user", "g", "ip", "10.0.0.7"), []kmsg.AlterClientQuotasRequestEntryOp{rate}},
		{entityOf("ip", "no host"), []kmsg.AlterClientQuotasRequestEntryOp{op("connection_creation_rate", 1)}},
		{entityOf("user", "i"), []kmsg.AlterClientQuotasRequestEntryOp{rate}},
		{entityOf("user", "i"), []kmsg.AlterClientQuotasRequestEntryOp{rate}},
		{entityOf("ip", "10.0.0.8"), []kmsg.AlterClientQuotasRequestEntryOp{op("connection_creation_rate", 1)}},
		{entityOf("ip", "::ffff:10.0.0.8"), []kmsg.AlterClientQuotasRequestEntryOp{op("connection_creation_rate", 1)}},
	} {
		entries = append(entries, kmsg.AlterClientQuotasRequestEntry{Entity: e.entity, Ops: e.ops})
	}
	wantCode(t, "validate only", alterQuotas(t, f, true, good)[0].ErrorCode, nil)
	if got := describeQuotas(t, f, false); got != "" {
		t.Errorf("after validate_only there is %s", got)
	}
	for i, e := range alterQuotas(t, f, false, entries...) {
		if i == 0 {
			wantCode(t, "a good one", e.ErrorCode, nil)
			continue
		}
		wantCode(t, names[i-1], e.ErrorCode, kerr.InvalidRequest)
	}
	if got, want := describeQuotas(t, f, false), "user=good producer_byte_rate:1000"; got != want {
		t.Errorf("set are\n%s\nwant\n%s", got, want)
	}
}

// Quotas are asked for like configs.
func TestQuotasNeedPermission(t *testing.T) {
	f := startFirn(t, kafka.Options{Authorizer: underRules{}})
	resp := alterQuotas(t, f, false, kmsg.AlterClientQuotasRequestEntry{Entity: entityOf("user", "alice"),
		Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: "producer_byte_rate", Value: 1}}})
	wantCode(t, "altering", resp[0].ErrorCode, kerr.ClusterAuthorizationFailed)
	described := ask[*kmsg.DescribeClientQuotasResponse](t, f, &kmsg.DescribeClientQuotasRequest{Version: 1})
	wantCode(t, "describing", described.ErrorCode, kerr.ClusterAuthorizationFailed)
}

// A client beyond its quota is told how long to wait, and its connection is not read from for so
// long, whether it waits or not. Others do not wait, on whatever node it was set.
func TestProducerBeyondItsQuotaIsMuted(t *testing.T) {
	store, c := memory.New(), sharedCoordinator{embedded.New(embedded.Options{})}
	one := startNode(t, kafka.Options{}, store, 0, c, 1)
	f := startNode(t, kafka.Options{}, store, 0, c, 2)
	topic := f.createTopic(t, "log", 1)
	one.setQuota(t, "producer_byte_rate", 1000, "client-id", "slow")
	if err := f.node.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	slow, fast := f.connect(t), f.connect(t)
	if wait := produceAs(t, fast, "fast", topic, 4000); wait != 0 {
		t.Errorf("a client without a quota is told to wait %v", wait)
	}
	began := time.Now()
	wait := produceAs(t, slow, "slow", topic, 1500)
	if wait <= 0 || wait > 700*time.Millisecond {
		t.Fatalf("after 1500 bytes of 1000 a second, a client is told to wait %v", wait)
	}
	produceAs(t, slow, "slow", topic, 1)
	if took := time.Since(began); took < wait {
		t.Errorf("both requests took %v; it had to wait %v between them", took, wait)
	}
	f.setQuota(t, "producer_byte_rate", 0, "client-id", "slow")
	if wait := produceAs(t, f.connect(t), "slow", topic, 4000); wait != 0 {
		t.Errorf("without a quota, it is told to wait %v", wait)
	}
}

// connect opens a connection for one request after the other.
func (f *firn) connect(t testing.TB) net.Conn {
	t.Helper()
	nc := dial(t, f.address)
	nc.SetDeadline(time.Now().Add(time.Minute))
	return nc
}

// produceAs writes one record of so many bytes, and returns how long it is told to wait.
func produceAs(t testing.TB, nc net.Conn, clientID string, topic *coordinator.Topic, size int) time.Duration {
	t.Helper()
	req := produceRaw(topic, build(t, batch.None, strings.Repeat("x", size)))
	return time.Duration(call[*kmsg.ProduceResponse](t, nc, clientID, req).ThrottleMillis) * time.Millisecond
}

// call sends one request as a client, and decodes the answer.
func call[Resp kmsg.Response](t testing.TB, nc net.Conn, clientID string, req kmsg.Request) Resp {
	t.Helper()
	as := kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))
	if _, err := nc.Write(as.AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	body, err := readFrame(nc)
	if err != nil {
		t.Fatal(err)
	}
	resp, head := req.ResponseKind(), 4
	if resp.IsFlexible() {
		head = 5
	}
	if err := resp.ReadFrom(body[head:]); err != nil {
		t.Fatal(err)
	}
	return resp.(Resp)
}

// A consumer gets as much at once as its quota allows in a second, or one batch, and is muted for
// what that is too much.
func TestConsumerBeyondItsQuotaIsMuted(t *testing.T) {
	f := startFirn(t, kafka.Options{KeepPlain: true})
	topic := f.createTopic(t, "log", 1)
	const batches, rate = 8, 2000
	for range batches {
		f.write(t, produceRaw(topic, build(t, batch.None, strings.Repeat("x", 800))))
	}
	f.setQuota(t, "consumer_byte_rate", rate, "user", "ANONYMOUS", "client-id", "<default>")
	nc, began := f.connect(t), time.Now()
	all, last := 0, 0
	for next := int64(0); next < batches; {
		resp := call[*kmsg.FetchResponse](t, nc, "reader", fetchRaw(topic, next))
		p := resp.Topics[0].Partitions[0]
		wantCode(t, "Fetch", p.ErrorCode, nil)
		if last = len(p.RecordBatches); last > rate {
			t.Fatalf("%d bytes at once of a quota of %d a second", last, rate)
		}
		all += last
		for rest := p.RecordBatches; len(rest) > 0; next++ {
			h, err := batch.ReadHeader(rest)
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[h.Size():]
		}
	}
	least := time.Duration(float64(all-last-rate) / rate * float64(time.Second))
	if took := time.Since(began); took < least-10*time.Millisecond {
		t.Errorf("%d bytes in %v: the quota is %d a second", all, took, rate)
	}
	if n := f.opts.Quotas.Counted(); n != 1 {
		t.Errorf("%d clients are counted, and one has read", n)
	}
}

// Partitions that are created and deleted count. Clients of a version that knows the error are
// refused, others are served and throttled.
func TestControllerMutations(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	f.setQuota(t, "controller_mutation_rate", 1, "user", "ANONYMOUS")
	create := func(version int16, name string, partitions int32) *kmsg.CreateTopicsResponse {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
		return call[*kmsg.CreateTopicsResponse](t, f.connect(t), "admin",
			&kmsg.CreateTopicsRequest{Version: version, TimeoutMillis: 10_000, Topics: []kmsg.CreateTopicsRequestTopic{topic}})
	}
	resp := create(7, "first", 30)
	wantCode(t, "the first", resp.Topics[0].ErrorCode, nil)
	if resp.ThrottleMillis < 10_000 { // 30 partitions are 20 beyond what may come at once; a wait is 20 s at most
		t.Errorf("after 30 partitions of 1 a second the client is told to wait %d ms", resp.ThrottleMillis)
	}
	resp = create(7, "second", 1)
	wantCode(t, "the second", resp.Topics[0].ErrorCode, kerr.ThrottlingQuotaExceeded)
	if resp.ThrottleMillis == 0 {
		t.Error("a client that is refused is not told how long to wait")
	}
	resp = create(5, "third", 1)
	wantCode(t, "the third, of an old client", resp.Topics[0].ErrorCode, nil)
	grow := &kmsg.CreatePartitionsRequest{Version: 3, TimeoutMillis: 10_000,
		Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: "first", Count: 31}}}
	wantCode(t, "growing", call[*kmsg.CreatePartitionsResponse](t, f.connect(t), "admin", grow).Topics[0].ErrorCode,
		kerr.ThrottlingQuotaExceeded)
	remove := &kmsg.DeleteTopicsRequest{Version: 6, TimeoutMillis: 10_000,
		Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: new("first")}}}
	wantCode(t, "deleting", call[*kmsg.DeleteTopicsResponse](t, f.connect(t), "admin", remove).Topics[0].ErrorCode,
		kerr.ThrottlingQuotaExceeded)
	metadata := &kmsg.MetadataRequest{Version: 12, AllowAutoTopicCreation: true,
		Topics: []kmsg.MetadataRequestTopic{{Topic: new("auto")}}}
	wantCode(t, "creating by asking", call[*kmsg.MetadataResponse](t, f.connect(t), "admin", metadata).Topics[0].ErrorCode,
		kerr.ThrottlingQuotaExceeded)
	f.setQuota(t, "controller_mutation_rate", 0, "user", "ANONYMOUS")
	resp = create(7, "fourth", 1)
	wantCode(t, "without a quota", resp.Topics[0].ErrorCode, nil)
}

// Requests count with the time that they are worked on, and not with the time that they wait.
func TestRequestsBeyondTheirQuota(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "log", 1)
	f.setQuota(t, "request_percentage", 1e-6, "client-id", "busy")
	wait := call[*kmsg.MetadataResponse](t, f.connect(t), "busy", &kmsg.MetadataRequest{Version: 12}).ThrottleMillis
	if wait != 1000 {
		t.Errorf("a client that may compute ten nanoseconds a second is told to wait %d ms", wait)
	}
	f.setQuota(t, "request_percentage", 100, "client-id", "waits")
	fetch := fetchRaw(topic, 0)
	fetch.MaxWaitMillis, fetch.MinBytes = 3000, 1
	wait = call[*kmsg.FetchResponse](t, f.connect(t), "waits", fetch).ThrottleMillis
	if wait == 1000 { // had the wait been counted, two seconds would be too many
		t.Errorf("a client that waited for records is told to wait %d ms", wait)
	}
}

// An address that makes too many connections has those beyond its quota closed.
func TestConnectionsBeyondTheirQuota(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.setQuota(t, "connection_creation_rate", 1, "ip", "127.0.0.1")
	began, served, refused := time.Now(), 0, false
	for !refused && time.Since(began) < time.Minute {
		nc := f.connect(t)
		nc.Write(frame(apiVersionsRequest(0), 1))
		if _, err := readFrame(nc); err != nil {
			refused = true
		} else if served++; served > 12+int(time.Since(began).Seconds()) {
			t.Fatalf("%d connections were served in %v; the quota is 1 a second, and 10 at once", served, time.Since(began))
		}
	}
	if !refused || served < 9 { // this test made one before
		t.Errorf("%d connections were served, and then one was refused: %v", served, refused)
	}
	if f.opts.Quotas.Connect("127.0.0.2") != 0 {
		t.Error("another address has to wait")
	}
}

// A tenant that sends as much as it can gets what its quota allows, and one without a quota as much
// as before: what counts is how long they are told to wait, and not how fast this machine is.
func TestLimitedTenantLeavesTheOtherAlone(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "log", 1)
	f.setQuota(t, "producer_byte_rate", 200<<10, "client-id", "limited")
	limited, free := f.connect(t), f.connect(t)
	const size = 64 << 10
	began, sent := time.Now(), 0
	for time.Since(began) < 2*time.Second {
		produceAs(t, limited, "limited", topic, size)
		sent += size
		if wait := produceAs(t, free, "free", topic, size); wait != 0 {
			t.Fatalf("the other tenant is told to wait %v", wait)
		}
	}
	most := 200<<10*(time.Since(began).Seconds()+1) + 2*size // the burst, and what is answered before its wait
	if float64(sent) > most {
		t.Errorf("%d bytes in %v of a quota of 200 KiB a second", sent, time.Since(began))
	}
}
