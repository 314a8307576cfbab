package kafka_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/kafka"
)

// configureGroup sets configs of a group. They are name and value, in turn.
func (f *firn) configureGroup(t testing.TB, group string, configs ...string) {
	t.Helper()
	if err := setOn(t, f, group, configs...); err != nil {
		t.Fatal(err)
	}
}

func setOn(t testing.TB, f *firn, group string, configs ...string) error {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	on := kmsg.NewIncrementalAlterConfigsRequestResource()
	on.ResourceType, on.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	for i := 0; i < len(configs); i += 2 {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		on.Configs = append(on.Configs, c)
	}
	req.Resources = append(req.Resources, on)
	return kerr.ErrorForCode(ask[*kmsg.IncrementalAlterConfigsResponse](t, f, req).Resources[0].ErrorCode)
}

// sharer is a member of a share group, by the wire: what it asks is what it says.
type sharer struct {
	t       testing.TB
	nc      net.Conn
	group   string
	member  string
	topic   *coordinator.Topic
	epoch   int32
	most    int32
	strict  bool
	waiting time.Duration
}

func newSharer(t testing.TB, f *firn, group, member string, topic *coordinator.Topic) *sharer {
	t.Helper()
	nc, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	s := &sharer{t: t, nc: nc, group: group, member: member, topic: topic}
	heartbeat := kmsg.NewPtrShareGroupHeartbeatRequest()
	heartbeat.Version, heartbeat.GroupID, heartbeat.MemberID = 1, group, member
	heartbeat.SubscribedTopicNames = []string{topic.Name}
	joined := askOn[*kmsg.ShareGroupHeartbeatResponse](t, nc, heartbeat)
	wantCode(t, "joining", joined.ErrorCode, nil)
	return s
}

// fetch asks for partition 0, and returns what the answer says of it. acks are first and last
// offset and type, in turn.
func (s *sharer) fetch(acks ...int64) (kmsg.ShareFetchResponseTopicPartition, *kmsg.ShareFetchResponse) {
	s.t.Helper()
	req := kmsg.NewPtrShareFetchRequest()
	req.Version, req.GroupID, req.MemberID, req.ShareSessionEpoch = 2, &s.group, &s.member, s.epoch
	req.MaxWaitMillis, req.MaxRecords, req.MinBytes = int32(s.waiting.Milliseconds()), s.most, 1
	if s.strict {
		req.ShareAcquireMode = 1
	}
	p := kmsg.NewShareFetchRequestTopicPartition()
	for i := 0; i < len(acks); i += 3 {
		b := kmsg.NewShareFetchRequestTopicPartitionAcknowledgementBatch()
		b.FirstOffset, b.LastOffset, b.AcknowledgeTypes = acks[i], acks[i+1], []int8{int8(acks[i+2])}
		p.AcknowledgementBatches = append(p.AcknowledgementBatches, b)
		req.IsRenewAck = req.IsRenewAck || acks[i+2] == 4
	}
	if req.IsRenewAck {
		req.MaxBytes, req.MinBytes, req.MaxRecords, req.MaxWaitMillis = 0, 0, 0, 0
	}
	topic := kmsg.NewShareFetchRequestTopic()
	topic.TopicID, topic.Partitions = s.topic.ID, []kmsg.ShareFetchRequestTopicPartition{p}
	req.Topics = []kmsg.ShareFetchRequestTopic{topic}
	resp := askOn[*kmsg.ShareFetchResponse](s.t, s.nc, req)
	if resp.ErrorCode == 0 {
		s.epoch++
	}
	for _, topic := range resp.Topics {
		return topic.Partitions[0], resp
	}
	return kmsg.NewShareFetchResponseTopicPartition(), resp
}

// got is fetch, and says what was acquired: first and last offset and count of deliveries.
func (s *sharer) got(acks ...int64) (all string) {
	s.t.Helper()
	p, resp := s.fetch(acks...)
	wantCode(s.t, "fetching", resp.ErrorCode, nil)
	wantCode(s.t, "fetching", p.ErrorCode, nil)
	wantCode(s.t, "acknowledging", p.AcknowledgeErrorCode, nil)
	for _, r := range p.AcquiredRecords {
		all += fmt.Sprintf("%d-%d×%d ", r.FirstOffset, r.LastOffset, r.DeliveryCount)
	}
	return all
}

func (s *sharer) wants(want string, acks ...int64) {
	s.t.Helper()
	if got := s.got(acks...); got != want {
		s.t.Fatalf("%s acquired %q, want %q", s.member, got, want)
	}
}

// startShared starts a server with a topic of n records in partition 0, ten to a batch, and configs
// of the share group "work", which begins with the first of them.
func startShared(t testing.TB, n int, configs ...string) (*firn, *coordinator.Topic) {
	t.Helper()
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "tasks", 1)
	f.configureGroup(t, "work", append(configs, "share.auto.offset.reset", "earliest")...)
	for i := 0; i < n; i += 10 {
		var values []string
		for j := i; j < i+10; j++ {
			values = append(values, strconv.Itoa(j))
		}
		f.produce(t, "tasks", 0, time.Now(), values...)
	}
	return f, topic
}

// What one member acquired another does not get; what it gives back, or has when its connection
// ends, another gets, counted; and what it accepts or rejects nobody gets again.
func TestShareFetchGivesEachRecordToOne(t *testing.T) {
	f, topic := startShared(t, 30)
	a, b := newSharer(t, f, "work", "a", topic), newSharer(t, f, "work", "b", topic)
	a.most, b.most = 1, 1
	a.wants("0-9×1 ") // a whole batch
	b.wants("10-19×1 ")
	b.strict, b.most = true, 3
	b.wants("15-17×2 ", 10, 12, 1, 13, 14, 3, 15, 19, 2) // accepted, rejected, released
	b.wants("18-19×2 20-20×1 ")
	if p, _ := b.fetch(10, 11, 1); p.AcknowledgeErrorCode != kerr.InvalidRecordState.Code {
		t.Errorf("acknowledging twice: %v", kerr.ErrorForCode(p.AcknowledgeErrorCode))
	}
	if p, _ := b.fetch(0, 5, 1); p.AcknowledgeErrorCode != kerr.InvalidRecordState.Code {
		t.Errorf("acknowledging another's: %v", kerr.ErrorForCode(p.AcknowledgeErrorCode))
	}
	b.nc.Close()
	a.most, a.waiting = 100, 10*time.Second
	var all string
	for range 3 { // as b's records come back
		if all += a.got(); len(all) > 20 {
			break
		}
	}
	a.nc.Close()
	c := newSharer(t, f, "work", "c", topic)
	c.most, c.waiting = 100, 10*time.Second
	seen := map[int64]bool{}
	for n := 0; len(seen) < 25; n++ {
		if n == 100 {
			t.Fatalf("acquired only %v", seen)
		}
		p, _ := c.fetch()
		for _, r := range p.AcquiredRecords {
			for at := r.FirstOffset; at <= r.LastOffset; at++ {
				if seen[at] || at >= 10 && at <= 14 {
					t.Fatalf("%d is delivered again", at)
				}
				seen[at] = true
			}
		}
	}
}

// Records are delivered as often as the group allows, and a new owner of the group goes on with
// what was acknowledged.
func TestShareGroupStopsDelivering(t *testing.T) {
	f, topic := startShared(t, 10, "share.delivery.count.limit", "2", "share.renew.acknowledge.enable", "true")
	a := newSharer(t, f, "work", "a", topic)
	a.wants("0-9×1 ")
	a.wants("", 3, 3, 4) // renewed, and nothing is fetched
	a.wants("0-9×2 ", 0, 9, 2)
	a.wants("", 0, 4, 2)
	offsets, err := f.admin(t).DescribeShareGroupOffsets(t.Context(), "work")
	if err != nil {
		t.Fatal(err)
	}
	if at := offsets["work"].Offsets["tasks"][0]; at.StartOffset != 5 || at.Lag != 5 {
		t.Errorf("the group is at %+v", at)
	}
	f.produce(t, "tasks", 0, time.Now(), "10", "11")
	a.waiting = 10 * time.Second
	a.wants("10-11×1 ")
	if _, err := f.admin(t).DeleteRecords(t.Context(), kadm.Offsets{"tasks": {0: {Topic: "tasks", At: 11}}}); err != nil {
		t.Fatal(err)
	}
	a.waiting = 0
	a.wants("", 5, 11, 1) // also what was trimmed
}

// A session's requests are numbered, and a member has one with a node.
func TestShareSessions(t *testing.T) {
	f, topic := startShared(t, 10)
	a := newSharer(t, f, "work", "a", topic)
	a.epoch = 7
	_, resp := a.fetch()
	wantCode(t, "no session", resp.ErrorCode, kerr.ShareSessionNotFound)
	a.epoch = 0
	a.wants("0-9×1 ")
	a.epoch = 7
	_, resp = a.fetch()
	wantCode(t, "another epoch", resp.ErrorCode, kerr.InvalidShareSessionEpoch)
	a.epoch = -1 // the last: it releases
	a.wants("")
	a.epoch = 0
	a.wants("0-9×2 ")
	a.epoch, a.member = 0, ""
	_, resp = a.fetch()
	wantCode(t, "no member", resp.ErrorCode, kerr.InvalidRequest)
	a.group, a.member = "other", "a"
	_, resp = a.fetch()
	wantCode(t, "no such group", resp.ErrorCode, kerr.GroupIDNotFound)
	a.epoch, a.group = 0, strings.Repeat("g", 2000)
	_, resp = a.fetch()
	wantCode(t, "a long name", resp.ErrorCode, kerr.InvalidGroupID)
	a.group = "work"
	_, resp = a.fetch(0, 9, 1)
	wantCode(t, "acknowledging first", resp.ErrorCode, kerr.InvalidRequest)
	describe := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	describe.Groups = []kmsg.DescribeShareGroupOffsetsRequestGroup{{GroupID: "work"}, {GroupID: "work"}}
	if n := len(ask[*kmsg.DescribeShareGroupOffsetsResponse](t, f, describe).Groups); n != 1 {
		t.Errorf("one group is described %d times", n)
	}
}

// What a share group is told of its log has to be in it.
func TestShareGroupsAreSetWithinTheLog(t *testing.T) {
	f, _ := startShared(t, 10)
	for _, c := range []struct {
		to   int64
		want *kerr.Error
	}{{11, kerr.OffsetOutOfRange}, {10, nil}, {-1, kerr.InvalidRequest}} {
		req := kmsg.NewPtrAlterShareGroupOffsetsRequest()
		req.GroupID = "idle"
		req.Topics = []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: "tasks",
			Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{StartOffset: c.to}}}}
		answer := ask[*kmsg.AlterShareGroupOffsetsResponse](t, f, req)
		wantCode(t, "altering", answer.ErrorCode, nil)
		wantCode(t, fmt.Sprint("to ", c.to), answer.Topics[0].Partitions[0].ErrorCode, c.want)
	}
}

// Members of a group that reads committed records alone get none of a transaction that was aborted,
// and no markers, and go on behind them.
func TestShareGroupReadsCommitted(t *testing.T) {
	f, topic := startShared(t, 0, "share.isolation.level", "read_committed")
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		cl := f.client(t, kgo.TransactionalID("t"), kgo.DefaultProduceTopic("tasks"))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord(strconv.Itoa(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	a := newSharer(t, f, "work", "a", topic)
	a.waiting = time.Second
	got := ""
	for got != "0-0×1 4-4×1 " {
		more := a.got()
		if got += more; more == "" && got != "0-0×1 4-4×1 " {
			t.Fatalf("acquired %q", got)
		}
	}
	a.waiting = 0
	a.wants("", 0, 0, 1, 4, 4, 1)
	offsets, err := f.admin(t).DescribeShareGroupOffsets(t.Context(), "work")
	if err != nil {
		t.Fatal(err)
	}
	if at := offsets["work"].Offsets["tasks"][0]; at.StartOffset != 8 {
		t.Errorf("the group is at %+v, with nothing left", at)
	}
}

// Members of franz-go share a topic: each record that is not rejected is accepted once, although
// some are released first. Tools see the group as a share group, and nothing else may use it.
func TestShareGroupOfFranzGo(t *testing.T) {
	const n = 600
	f := startFirn(t, kafka.Options{})
	f.configureGroup(t, "work", "share.auto.offset.reset", "earliest", "share.heartbeat.interval.ms", "100")
	f.fillTopic(t, "tasks", 3, n)
	ctx, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	var mu sync.Mutex
	accepted, rejected, again := map[string]int{}, map[string]int{}, map[string]bool{}
	var members sync.WaitGroup
	var clients []*kgo.Client
	deliveries := map[string][]string{}
	for i := range 3 {
		cl := f.client(t, kgo.ShareGroup("work"), kgo.ConsumeTopics("tasks"), kgo.FetchMaxWait(200*time.Millisecond))
		clients = append(clients, cl)
		members.Go(func() {
			for ctx.Err() == nil {
				cl.PollRecords(ctx, 50).EachRecord(func(r *kgo.Record) {
					mu.Lock()
					defer mu.Unlock()
					key := fmt.Sprintf("%d/%d", r.Partition, r.Offset)
					deliveries[key] = append(deliveries[key], fmt.Sprint("member ", i, "×", r.DeliveryCount()))
					switch {
					case r.Offset%7 == 3 && !again[key]:
						again[key] = true
						r.Ack(kgo.AckRelease)
					case r.Offset%11 == 5:
						rejected[key]++
						r.Ack(kgo.AckReject)
					default:
						accepted[key]++
						r.Ack(kgo.AckAccept)
					}
					if len(accepted)+len(rejected) == n {
						done()
					}
				})
			}
			cl.FlushAcks(t.Context())
		})
	}
	members.Wait()
	admin := f.admin(t)
	if len(accepted)+len(rejected) != n {
		t.Fatalf("%d records were accepted and %d rejected, of %d", len(accepted), len(rejected), n)
	}
	for key, times := range accepted {
		if times != 1 || rejected[key] > 0 {
			t.Errorf("%s was accepted %d times and rejected %d times: %v", key, times, rejected[key],
				deliveries[key])
		}
	}
	described, err := admin.DescribeShareGroups(t.Context(), "work")
	if err != nil || described["work"].GroupState != "Stable" || len(described["work"].Members) == 0 {
		t.Errorf("described as %+v, %v", described, err)
	}
	list := kmsg.NewPtrListGroupsRequest()
	list.Version, list.TypesFilter = 5, []string{"share"}
	if listed := ask[*kmsg.ListGroupsResponse](t, f, list).Groups; len(listed) != 1 || listed[0].GroupType != "share" {
		t.Errorf("listed are %+v", listed)
	}
	commit, err := admin.CommitOffsets(t.Context(), "work", kadm.Offsets{"tasks": {0: {Topic: "tasks", At: 1}}})
	if err == nil {
		err = commit.Error()
	}
	if err == nil {
		t.Error("offsets were committed to a share group")
	}
	for _, cl := range clients { // while there is a server to leave
		cl.Close()
	}
}

// The group's configs are checked like others.
func TestShareGroupConfigs(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	for _, wrong := range [][2]string{{"share.auto.offset.reset", "none"}, {"share.auto.offset.reset", "by_duration:1h"},
		{"share.isolation.level", "serializable"}, {"share.delivery.count.limit", "1"},
		{"share.record.lock.duration.ms", "10"}, {"share.partition.max.record.locks", "7"}} {
		if setOn(t, f, "work", wrong[0], wrong[1]) == nil {
			t.Errorf("%s=%s was taken", wrong[0], wrong[1])
		}
	}
	const begin = "by_duration:P1DT1H"
	f.configureGroup(t, "work", "share.auto.offset.reset", begin)
	req := kmsg.NewPtrDescribeConfigsRequest()
	on := kmsg.NewDescribeConfigsRequestResource()
	on.ResourceType, on.ResourceName = kmsg.ConfigResourceTypeGroupConfig, "work"
	req.Resources = append(req.Resources, on)
	for _, c := range ask[*kmsg.DescribeConfigsResponse](t, f, req).Resources[0].Configs {
		if is := c.Value != nil && *c.Value == begin; is != (c.Name == "share.auto.offset.reset") {
			t.Errorf("%s is %v", c.Name, c.Value)
		}
	}
}
