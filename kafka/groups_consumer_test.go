package kafka_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/accesstest"
	"firn.dev/kafka"
)

// Members of the new protocol that come and go, and say so, read every record exactly once, with
// both assignors, and no partition has two owners.
func TestConsumerGroupReadsExactlyOnceWhileNobodyDies(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{"uniform": kgo.StickyBalancer(),
		"range": kgo.RangeBalancer()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFirn(t, kafka.Options{})
			f.fillTopic(t, "log", 6, 6000)
			r := newReaders(t, f, "log", 6000)
			r.upTo.Store(1000)
			leave := r.start(0, balancer, kgo.ServerSideBalancer())
			for id := 1; id <= 4; id++ {
				r.until(func() bool { return r.total.Load() >= r.upTo.Load() })
				if id == 3 {
					leave()
				}
				r.start(id, balancer, kgo.ServerSideBalancer())
				r.until(func() bool { return r.owns(id) })
				r.upTo.Add(1000)
			}
			described := f.describeConsumers(t, r.group)
			if described.ErrorCode != 0 || len(described.Members) != 4 || described.AssignorName != name {
				t.Errorf("the group is %+v", described)
			}
			r.upTo.Store(math.MaxInt64)
			r.wait()
			if n := r.total.Load(); n != 6000 {
				t.Errorf("%d records were read %d times", r.want, n)
			}
		})
	}
}

func (f *firn) describeConsumers(t *testing.T, group string) kmsg.ConsumerGroupDescribeResponseGroup {
	t.Helper()
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version, req.Groups = 1, []string{group}
	return ask[*kmsg.ConsumerGroupDescribeResponse](t, f, req).Groups[0]
}

// A group changes from the classic protocol to the new one and back while it reads: members are
// replaced one by one, every record is read exactly once, and no partition ever has two owners.
func TestGroupIsUpgradedAndDowngradedWhileItReads(t *testing.T) {
	for name, classic := range map[string]kgo.GroupBalancer{"cooperative": kgo.CooperativeStickyBalancer(),
		"range": kgo.RangeBalancer()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFirn(t, kafka.Options{})
			f.fillTopic(t, "log", 6, 8000)
			r := newReaders(t, f, "log", 8000)
			r.upTo.Store(0)
			read := func(n int64) {
				r.upTo.Add(n)
				r.until(func() bool { return r.total.Load() >= r.upTo.Load() })
			}
			oldA, oldB := r.start(0, classic), r.start(1, classic)
			r.until(func() bool { return r.owns(0) && r.owns(1) })
			read(1000)
			newA := r.start(2, kgo.StickyBalancer(), kgo.ServerSideBalancer())
			r.until(func() bool { return r.owns(2) })
			read(1000)
			if d := f.describeConsumers(t, r.group); len(d.Members) != 3 || d.AssignorName != "uniform" {
				t.Errorf("after the first of the new protocol joined, the group is %+v", d)
			}
			oldA()
			read(500)
			oldB()
			newB := r.start(3, kgo.StickyBalancer(), kgo.ServerSideBalancer())
			r.until(func() bool { return r.owns(3) })
			read(1000)
			r.start(4, classic)
			r.until(func() bool { return r.owns(4) })
			read(500)
			newA()
			newB()
			read(500)
			r.start(5, classic)
			r.until(func() bool { return r.owns(5) })
			if d := f.describeConsumers(t, r.group); d.ErrorCode != kerr.GroupIDNotFound.Code {
				t.Errorf("after the last of the new protocol left, the group is %+v", d)
			}
			r.upTo.Store(math.MaxInt64)
			r.wait()
			if n := r.total.Load(); n != 8000 {
				t.Errorf("%d records were read %d times", r.want, n)
			}
		})
	}
}

// A subscription by regular expression follows the topics that there are.
func TestConsumerGroupFollowsTopics(t *testing.T) {
	t.Parallel()
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "log-a", 1)
	cl := f.client(t, kgo.ConsumerGroup("g"), kgo.ConsumeRegex(), kgo.ConsumeTopics("log-.*"),
		kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.MetadataMaxAge(100*time.Millisecond))
	f.produce(t, "log-a", 0, time.Now(), "1")
	want := func(value string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if records := cl.PollFetches(ctx).Records(); len(records) != 1 || string(records[0].Value) != value {
			t.Fatalf("read %v, want %s", records, value)
		}
	}
	want("1")
	f.createTopic(t, "other", 1)
	f.createTopic(t, "log-b", 1)
	f.produce(t, "other", 0, time.Now(), "no")
	f.produce(t, "log-b", 0, time.Now(), "2")
	want("2")
	if d := f.describeConsumers(t, "g"); d.Epoch != 2 || len(d.Members) != 1 ||
		len(d.Members[0].Assignment.TopicPartitions) != 2 || *d.Members[0].SubscribedTopicRegex == "" {
		t.Errorf("the group is %+v", d)
	}
}

// consumer is a member of the new protocol that says what a test makes it say.
type wireConsumer struct {
	t   *testing.T
	f   *firn
	req *kmsg.ConsumerGroupHeartbeatRequest
}

func newWireConsumer(t *testing.T, f *firn, id string, topics ...string) *wireConsumer {
	c := &wireConsumer{t, f, kmsg.NewPtrConsumerGroupHeartbeatRequest()}
	c.req.Version, c.req.Group, c.req.MemberID = 1, "g", id
	c.req.RebalanceTimeoutMillis, c.req.SubscribedTopicNames = 10_000, topics
	c.req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return c
}

// heartbeat sends a heartbeat after change has been made to it, and takes in the epoch that it is
// answered with.
func (c *wireConsumer) heartbeat(
	change func(*kmsg.ConsumerGroupHeartbeatRequest),
) *kmsg.ConsumerGroupHeartbeatResponse {
	c.t.Helper()
	if change != nil {
		change(c.req)
	}
	resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](c.t, c.f, c.req)
	if resp.ErrorCode == 0 {
		c.req.MemberEpoch = resp.MemberEpoch
	}
	return resp
}

// What clients are told when something is wrong, by number.
func TestConsumerGroupErrors(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	topic := f.createTopic(t, "log", 2)
	type request = kmsg.ConsumerGroupHeartbeatRequest
	refused := func(what string, want *kerr.Error, change func(r *request)) {
		t.Helper()
		wantCode(t, what, newWireConsumer(t, f, "nobody", "log").heartbeat(change).ErrorCode, want)
	}
	refused("no id", kerr.InvalidRequest, func(r *request) { r.MemberID = "" })
	refused("no subscription", kerr.InvalidRequest, func(r *request) { r.SubscribedTopicNames = nil })
	refused("no rebalance timeout", kerr.InvalidRequest, func(r *request) { r.RebalanceTimeoutMillis = -1 })
	refused("partitions while joining", kerr.InvalidRequest, func(r *request) {
		r.Topics = append(r.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: topic.ID, Partitions: []int32{0}})
	})
	refused("an epoch that there is not", kerr.InvalidRequest, func(r *request) { r.MemberEpoch = -3 })
	refused("an assignor that there is not", kerr.UnsupportedAssignor, func(r *request) {
		r.ServerAssignor = new("sticky")
	})
	refused("a regular expression that is none", kerr.InvalidRegularExpression, func(r *request) {
		r.SubscribedTopicRegex = new("a)|(b")
	})
	refused("a group without a name", kerr.InvalidGroupID, func(r *request) { r.Group = "" })
	refused("a member that there is not", kerr.UnknownMemberID, func(r *request) { r.MemberEpoch = 3 })
	refused("leaving without being there", kerr.UnknownMemberID, func(r *request) { r.MemberEpoch = -1 })

	a := newWireConsumer(t, f, "a", "log")
	joined := a.heartbeat(func(r *request) { r.InstanceID = new("i") })
	if joined.ErrorCode != 0 || joined.MemberEpoch != 1 || *joined.MemberID != "a" ||
		joined.HeartbeatIntervalMillis != 100 || len(joined.Assignment.Topics) != 1 ||
		joined.Assignment.Topics[0].TopicID != [16]byte(topic.ID) ||
		!slices.Equal(joined.Assignment.Topics[0].Partitions, []int32{0, 1}) {
		t.Fatalf("joined: %+v", joined)
	}
	refused("an epoch ahead", kerr.FencedMemberEpoch, func(r *request) { r.MemberID, r.MemberEpoch = "a", 7 })
	refused("the instance id of another", kerr.UnreleasedInstanceID, func(r *request) { r.InstanceID = new("i") })
	refused("the instance id of another, in an epoch", kerr.FencedInstanceID, func(r *request) {
		r.InstanceID, r.MemberEpoch = new("i"), 1
	})
	wantCode(t, "coming back later", a.heartbeat(func(r *request) { r.MemberEpoch = -2 }).ErrorCode, nil)
	if again := newWireConsumer(t, f, "b", "log").heartbeat(func(r *request) {
		r.InstanceID = new("i")
	}); again.ErrorCode != 0 || again.MemberEpoch != 1 || len(again.Assignment.Topics) != 1 {
		t.Errorf("coming back: %+v", again)
	}
	f.checkMemberEpochs(t, topic.ID)
}

// A member whose regular expression matches everything gets the topics that its client may
// describe.
func TestRegexIsOfWhatTheClientMayDescribe(t *testing.T) {
	g := accesstest.NewGuard()
	f := startFirn(t, kafka.Options{Authorizer: g})
	topic := f.createTopic(t, "log", 2)
	f.createTopic(t, "secret", 1)
	g.Set(func(_ access.Operation, on access.Resource) bool { return on.Name != "secret" })
	joined := newWireConsumer(t, f, "a").heartbeat(func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.SubscribedTopicNames, r.SubscribedTopicRegex = nil, new(".*")
	})
	if joined.ErrorCode != 0 || len(joined.Assignment.Topics) != 1 ||
		joined.Assignment.Topics[0].TopicID != [16]byte(topic.ID) {
		t.Errorf("joined: %+v", joined)
	}
}

// checkMemberEpochs commits and fetches offsets as member b, which is in epoch 1, and as others.
func (f *firn) checkMemberEpochs(t *testing.T, topic [16]byte) {
	commit := func(member string, epoch int32) int16 {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.MemberID, req.Generation = 10, "g", member, epoch
		req.Topics = []kmsg.OffsetCommitRequestTopic{{TopicID: topic,
			Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 1, Offset: 5, LeaderEpoch: -1}}}}
		return ask[*kmsg.OffsetCommitResponse](t, f, req).Topics[0].Partitions[0].ErrorCode
	}
	wantCode(t, "a commit", commit("b", 1), nil)
	wantCode(t, "a commit of another epoch", commit("b", 2), kerr.StaleMemberEpoch)
	wantCode(t, "a commit of a former member", commit("a", 1), kerr.UnknownMemberID)
	wantCode(t, "a commit of nobody", commit("", -1), kerr.UnknownMemberID)
	fetch := func(member *string, epoch int32) (int64, int16) {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = 10
		req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g", MemberID: member, MemberEpoch: epoch,
			Topics: []kmsg.OffsetFetchRequestGroupTopic{{TopicID: topic, Partitions: []int32{1}}}}}
		a := ask[*kmsg.OffsetFetchResponse](t, f, req).Groups[0]
		if a.ErrorCode != 0 {
			return -1, a.ErrorCode
		}
		return a.Topics[0].Partitions[0].Offset, 0
	}
	for _, who := range []struct {
		member *string
		epoch  int32
		want   *kerr.Error
	}{{nil, -1, nil}, {new("b"), 1, nil}, {new("b"), 2, kerr.StaleMemberEpoch}, {new("a"), 1, kerr.UnknownMemberID}} {
		offset, code := fetch(who.member, who.epoch)
		wantCode(t, "fetching offsets", code, who.want)
		if who.want == nil && offset != 5 {
			t.Errorf("offset %d was fetched, 5 was committed", offset)
		}
	}
}

// Tools find groups of both types, each by its own call.
func TestToolsSeeConsumerGroups(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	f.createTopic(t, "log", 2)
	newWireConsumer(t, f, "a", "log").heartbeat(nil)
	list := kmsg.NewPtrListGroupsRequest()
	list.Version, list.TypesFilter, list.StatesFilter = 5, []string{"Consumer"}, []string{"stable"}
	if all := ask[*kmsg.ListGroupsResponse](t, f, list).Groups; len(all) != 1 || all[0].Group != "g" ||
		all[0].GroupType != "consumer" || all[0].ProtocolType != "consumer" {
		t.Errorf("listed: %+v", all)
	}
	list.TypesFilter = []string{"classic"}
	if all := ask[*kmsg.ListGroupsResponse](t, f, list).Groups; len(all) != 0 {
		t.Errorf("listed as classic: %+v", all)
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Version, describe.Groups = 6, []string{"g"}
	if d := ask[*kmsg.DescribeGroupsResponse](t, f, describe).Groups[0]; d.ErrorCode != kerr.GroupIDNotFound.Code ||
		d.State != "Dead" {
		t.Errorf("described as classic: %+v", d)
	}
	if d := f.describeConsumers(t, "g"); d.State != "Stable" || d.Epoch != 1 || d.AssignmentEpoch != 1 ||
		len(d.Members) != 1 || d.Members[0].MemberType != 1 {
		t.Errorf("described: %+v", d)
	}
	if d := f.describeConsumers(t, "nobody"); d.ErrorCode != kerr.GroupIDNotFound.Code {
		t.Errorf("a group that there is not: %+v", d)
	}
	remove := kmsg.NewPtrDeleteGroupsRequest()
	remove.Version, remove.Groups = 2, []string{"g"}
	wantCode(t, "deleting a group with members", ask[*kmsg.DeleteGroupsResponse](t, f, remove).Groups[0].ErrorCode,
		kerr.NonEmptyGroup)
}
