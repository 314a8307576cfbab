package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readers are members of one group and what they have read, by record.
type readers struct {
	t     *testing.T
	f     *firn
	group string
	topic string

	mu     sync.Mutex
	owner  map[int32]int // partitions as they are assigned now
	counts map[string]int
	total  atomic.Int64
	upTo   atomic.Int64  // how many may be read for now, about
	enough chan struct{} // closed when every record was read
	want   int
	deadly bool // members die
}

func newReaders(t *testing.T, f *firn, topic string, want int) *readers {
	r := &readers{t: t, f: f, group: "g-" + topic, topic: topic, owner: map[int32]int{}, counts: map[string]int{},
		enough: make(chan struct{}), want: want}
	r.upTo.Store(math.MaxInt64)
	return r
}

// start starts a member. It commits what it has handled, also before it gives partitions up. The
// returned function makes it leave.
func (r *readers) start(id int, balancer kgo.GroupBalancer, opts ...kgo.Opt) (leave func()) {
	r.t.Helper()
	session := time.Second
	if !r.deadly { // a slow machine is no reason to lose a member
		session = 30 * time.Second
		wantCode(r.t, "the session timeout", setConfig(r.t, r.f, kmsg.ConfigResourceTypeGroupConfig, r.group,
			"consumer.session.timeout.ms", fmt.Sprint(session.Milliseconds())), nil)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	cl := r.f.client(r.t, append([]kgo.Opt{
		kgo.ConsumerGroup(r.group), kgo.ConsumeTopics(r.topic), kgo.Balancers(balancer),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(100 * time.Millisecond), kgo.BlockRebalanceOnPoll(),
		kgo.HeartbeatInterval(100 * time.Millisecond),
		kgo.SessionTimeout(session), kgo.FetchMaxWait(100 * time.Millisecond), kgo.FetchMaxPartitionBytes(2000),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { r.assigned(id, m[r.topic]) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, m map[string][]int32) {
			if err := cl.CommitMarkedOffsets(ctx); err != nil && !r.deadly && r.t.Context().Err() == nil {
				r.t.Errorf("member %d commits what it gives up: %v", id, err)
			}
			r.revoked(id, m[r.topic])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { r.revoked(id, m[r.topic]) }),
	}, opts...)...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if r.total.Load() >= r.upTo.Load() {
				time.Sleep(time.Millisecond)
				continue
			}
			fetches := cl.PollRecords(ctx, 20)
			fetches.EachRecord(func(rec *kgo.Record) { r.read(id, rec) })
			cl.MarkCommitRecords(fetches.Records()...)
			cl.AllowRebalance()
		}
	}()
	leave = sync.OnceFunc(func() {
		cancel()
		<-done
		cl.Close()
	})
	r.t.Cleanup(leave)
	return leave
}

// mortal is the network of a client that can die: from then on it reaches nobody.
type mortal struct {
	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

func (m *mortal) dial(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil && m.dead {
		nc.Close()
		return nil, net.ErrClosed
	}
	m.conns = append(m.conns, nc)
	return nc, err
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	for _, nc := range m.conns {
		if nc != nil {
			nc.Close()
		}
	}
}

func (r *readers) assigned(id int, partitions []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range partitions {
		if other, taken := r.owner[p]; taken && other != id && !r.deadly {
			r.t.Errorf("partition %d is assigned to member %d while member %d has it", p, id, other)
		}
		r.owner[p] = id
	}
}

func (r *readers) revoked(id int, partitions []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range partitions {
		if r.owner[p] == id {
			delete(r.owner, p)
		}
	}
}

func (r *readers) read(id int, rec *kgo.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if owner, assigned := r.owner[rec.Partition]; assigned && owner != id && !r.deadly {
		r.t.Errorf("member %d reads partition %d of member %d", id, rec.Partition, owner)
	}
	key := fmt.Sprintf("%d/%d", rec.Partition, rec.Offset)
	r.counts[key]++
	r.total.Add(1)
	if len(r.counts) == r.want && r.counts[key] == 1 {
		close(r.enough)
	}
}

// owns says whether a member has partitions.
func (r *readers) owns(id int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(r.owner)), id)
}

// until waits for something to become true.
func (r *readers) until(so func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain; %d records were read", r.total.Load())
		}
	}
}

func (r *readers) wait() {
	r.t.Helper()
	select {
	case <-r.enough:
	case <-time.After(60 * time.Second):
		r.t.Fatalf("of %d records %d were read", r.want, len(r.counts))
	}
}

// fillTopic writes records into all partitions.
func (f *firn) fillTopic(t *testing.T, topic string, partitions int32, records int) {
	t.Helper()
	f.createTopic(t, topic, partitions)
	cl := f.client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var all []*kgo.Record
	for i := range records {
		all = append(all, &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: fmt.Appendf(nil, "%050d", i)})
	}
	if err := cl.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// Members that come and go, and say so, read every record exactly once, with every balancer, and no
// partition has two owners.
func TestGroupReadsExactlyOnceWhileNobodyDies(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(),
		"cooperative": kgo.CooperativeStickyBalancer(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFirn(t, kafka.Options{})
			f.fillTopic(t, "log", 6, 6000)
			r := newReaders(t, f, "log", 6000)
			r.upTo.Store(1000)
			leave := r.start(0, balancer)
			for id := 1; id <= 4; id++ {
				r.until(func() bool { return r.total.Load() >= r.upTo.Load() })
				if id == 3 {
					leave()
				}
				r.start(id, balancer)
				r.until(func() bool { return r.owns(id) })
				r.upTo.Add(1000)
			}
			r.upTo.Store(math.MaxInt64)
			r.wait()
			if n := r.total.Load(); n != 6000 {
				t.Errorf("%d records were read %d times", r.want, n)
			}
		})
	}
}

// When members die, others take their partitions over once their sessions have timed out, and every
// record is read at least once.
func TestGroupSurvivesDeaths(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.fillTopic(t, "log", 4, 4000)
	r := newReaders(t, f, "log", 4000)
	r.deadly = true
	for id := range 3 {
		var net mortal
		r.start(id, kgo.CooperativeStickyBalancer(), kgo.Dialer(net.dial), kgo.RetryTimeout(200*time.Millisecond),
			kgo.RequestRetries(1))
		for before := r.total.Load(); r.total.Load() < before+500; {
			time.Sleep(time.Millisecond)
		}
		net.die()
	}
	r.start(9, kgo.CooperativeStickyBalancer())
	r.wait()
}

// The offsets of a group are where its last member left them; a second group knows nothing of it.
func TestGroupsGoOnAndAreIndependent(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.fillTopic(t, "log", 2, 200)
	for _, group := range []string{"a", "b"} {
		for round := range 2 {
			cl := f.client(t, kgo.ConsumerGroup(group), kgo.ConsumeTopics("log"),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			n := 0
			for n < 100*(1-round)+100*round && n < 100 {
				fetches := cl.PollRecords(t.Context(), 100-n)
				n += fetches.NumRecords()
				if err := cl.CommitRecords(t.Context(), fetches.Records()...); err != nil {
					t.Fatal(err)
				}
			}
			cl.Close()
			lags, err := f.admin(t).Lag(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			if lag := lags[group].Lag.Total(); lag != int64(100-100*round) {
				t.Errorf("group %s lags by %d after round %d", group, lag, round)
			}
		}
	}
}

// kcat, on an old librdkafka, reads as a member of a group, and goes on where it ended.
func TestKcatGroup(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.fillTopic(t, "log", 3, 30)
	read := func(count int) string {
		return kcat(t, f, "", "-G", "kcats", "-c", fmt.Sprint(count), "-q", "-X", "auto.offset.reset=earliest", "-f",
			`%p/%o\n`, "log")
	}
	seen := map[string]bool{}
	for range 2 {
		for i, line := range strings.Split(strings.TrimSpace(read(15)), "\n") {
			if seen[line] {
				t.Errorf("line %d: %s came twice", i, line)
			}
			seen[line] = true
		}
	}
	if len(seen) != 30 {
		t.Errorf("read %d records", len(seen))
	}
}

// What administrators do with groups: list, describe, commit for them, delete offsets and groups.
func TestGroupAdmin(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.fillTopic(t, "log", 2, 20)
	adm := f.admin(t)
	offsets := kadm.Offsets{}
	offsets.AddOffset("log", 0, 4, 7)
	offsets.Add(kadm.Offset{Topic: "log", Partition: 1, At: 5, LeaderEpoch: -1, Metadata: "here"})
	if err := adm.CommitAllOffsets(t.Context(), "idle", offsets); err != nil {
		t.Fatal(err)
	}
	cl := f.client(t, kgo.ConsumerGroup("busy"), kgo.ConsumeTopics("log"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.InstanceID("i"))
	cl.PollRecords(t.Context(), 1)

	listed, err := adm.ListGroups(t.Context())
	if err != nil || len(listed) != 2 || listed["busy"].State != "Stable" || listed["idle"].State != "Empty" {
		t.Errorf("listed: %+v, %v", listed, err)
	}
	if stable, err := adm.ListGroups(t.Context(), "stable"); err != nil || len(stable) != 1 {
		t.Errorf("listed as stable: %+v, %v", stable, err)
	}
	described, err := adm.DescribeGroups(t.Context(), "busy", "idle", "none")
	if err != nil {
		t.Fatal(err)
	}
	if g := described["busy"]; len(g.Members) != 1 || *g.Members[0].InstanceID != "i" ||
		len(g.AssignedPartitions()["log"]) != 2 || g.ProtocolType != "consumer" {
		t.Errorf("busy is %+v", g)
	}
	if g := described["none"]; !errors.Is(g.Err, kerr.GroupIDNotFound) {
		t.Errorf("none is %+v", g)
	}
	fetched, err := adm.FetchOffsets(t.Context(), "idle")
	if o, _ := fetched.Lookup("log", 1); err != nil || o.At != 5 || o.Metadata != "here" || len(fetched["log"]) != 2 {
		t.Errorf("fetched %+v, %v", fetched, err)
	}
	if o, _ := fetched.Lookup("log", 0); o.LeaderEpoch != 7 {
		t.Errorf("fetched %+v", o)
	}
	if committed, err := adm.CommitOffsets(t.Context(), "busy", offsets); err != nil ||
		!errors.Is(committed.Error(), kerr.UnknownMemberID) {
		t.Errorf("committing for a group with members: %v, %v", committed.Error(), err)
	}
	only := kadm.TopicsSet{}
	only.Add("log", 1)
	if gone, err := adm.DeleteOffsets(t.Context(), "busy", only); err != nil ||
		!errors.Is(gone.Error(), kerr.GroupSubscribedToTopic) {
		t.Errorf("deleting offsets of a subscribed topic: %v, %v", gone, err)
	}
	if gone, err := adm.DeleteOffsets(t.Context(), "idle", only); err != nil || gone.Error() != nil {
		t.Errorf("deleting offsets: %v, %v", gone, err)
	}
	if fetched, _ := adm.FetchOffsets(t.Context(), "idle"); len(fetched["log"]) != 1 {
		t.Errorf("after deleting: %+v", fetched)
	}
	deleted, err := adm.DeleteGroups(t.Context(), "busy", "idle", "none")
	if err != nil || deleted["busy"].Err != kerr.NonEmptyGroup || deleted["idle"].Err != nil ||
		deleted["none"].Err != kerr.GroupIDNotFound {
		t.Errorf("deleted: %+v, %v", deleted, err)
	}
	if fetched, _ := adm.FetchOffsets(t.Context(), "idle"); len(fetched) != 0 {
		t.Errorf("a deleted group has %+v", fetched)
	}
}

// Hostile members are refused, and a group that behaves notices nothing.
func TestHostileMembers(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.fillTopic(t, "log", 2, 10)
	good := f.client(t, kgo.ConsumerGroup("good"), kgo.ConsumeTopics("log"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	good.PollRecords(t.Context(), 10)
	member, generation := good.GroupMetadata()

	join := func(group, id string, version int16, metadata int) *kmsg.JoinGroupResponse {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.MemberID = version, group, id
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 60_000, 60_000
		req.ProtocolType = "consumer"
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "cooperative-sticky", Metadata: make([]byte, metadata)}}
		return ask[*kmsg.JoinGroupResponse](t, f, req)
	}
	wantCode(t, "huge metadata", join("evil", "", 9, 900<<10).ErrorCode, kerr.GroupMaxSizeReached)
	wantCode(t, "a made-up member id", join("good", "nobody", 9, 10).ErrorCode, kerr.UnknownMemberID)
	wantCode(t, "no group id", join("", "", 9, 10).ErrorCode, kerr.InvalidGroupID)
	refused := 0
	for range 1100 { // endless joins of members that never come back
		if join("endless", "", 9, 10).ErrorCode == kerr.GroupMaxSizeReached.Code {
			refused++
		}
	}
	if refused != 100 {
		t.Errorf("of 1100 joins %d were refused", refused)
	}
	for name, c := range map[string]struct {
		group, id  string
		generation int32
		want       *kerr.Error
	}{
		"a wrong generation": {"good", member, generation + 1, kerr.IllegalGeneration},
		"an old generation":  {"good", member, generation - 1, kerr.IllegalGeneration},
		"a wrong member":     {"good", member + "x", generation, kerr.UnknownMemberID},
		"a wrong group":      {"bad", member, generation, kerr.UnknownMemberID},
	} {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.Generation = 4, c.group, c.id, c.generation
		wantCode(t, name+" beats", ask[*kmsg.HeartbeatResponse](t, f, req).ErrorCode, c.want)
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Version, commit.Group, commit.MemberID, commit.Generation = 9, c.group, c.id, c.generation
		commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "log",
			Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 9}}}}
		wantCode(t, name+" commits", ask[*kmsg.OffsetCommitResponse](t, f, commit).Topics[0].Partitions[0].ErrorCode,
			c.want)
	}
	long := kmsg.NewPtrOffsetCommitRequest()
	long.Version, long.Group, long.Generation = 9, "long", -1
	long.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "log", Partitions: []kmsg.OffsetCommitRequestTopicPartition{
		{Offset: 9, Metadata: new(string(make([]byte, 5000)))}, {Partition: 1, Offset: 3}, {Partition: 2, Offset: 3}}}}
	answers := ask[*kmsg.OffsetCommitResponse](t, f, long).Topics[0].Partitions
	wantCode(t, "long metadata", answers[0].ErrorCode, kerr.OffsetMetadataTooLarge)
	wantCode(t, "a partition that exists", answers[1].ErrorCode, nil)
	wantCode(t, "a partition that does not", answers[2].ErrorCode, kerr.UnknownTopicOrPartition)

	if again, now := good.GroupMetadata(); again != member || now != generation {
		t.Errorf("the good group's member was %s in generation %d, and is %s in %d", member, generation, again, now)
	}
}

// Members of a group that is stuck in a rebalance do not keep a server from stopping: startFirn's
// cleanup would say so.
func TestDrainAnswersParkedMembers(t *testing.T) {
	f := startFirn(t, kafka.Options{Limits: kafka.Limits{DrainTimeout: 10 * time.Second}})
	f.fillTopic(t, "log", 1, 1)
	parked := make(chan struct{})
	f.client(t, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("log"), kgo.HeartbeatInterval(5*time.Second),
		kgo.SessionTimeout(30*time.Second))
	for {
		if d, err := f.opts.Groups.Describe(t.Context(), "g"); err == nil && d.State.String() == "Stable" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	go func() {
		defer close(parked)
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = 3, "g", 30_000,
			60_000, "consumer"
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "cooperative-sticky"}}
		resp := ask[*kmsg.JoinGroupResponse](t, f, req)
		wantCode(t, "a parked member of a server that stops", resp.ErrorCode, kerr.CoordinatorNotAvailable)
	}()
	for {
		if d, _ := f.opts.Groups.Describe(t.Context(), "g"); d.State.String() == "PreparingRebalance" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	f.stop() // before the other member leaves, which would end the rebalance
	<-parked
}
