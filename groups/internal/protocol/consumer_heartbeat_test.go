package protocol

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// scene is a group of the new protocol that a test leads through one story.
type scene struct {
	t *testing.T
	*Group
	now    time.Time
	topics *Catalog
}

var (
	logTopic   = &coordinator.Topic{ID: segments.TopicID{1}, Name: "log", Partitions: 2}
	otherTopic = &coordinator.Topic{ID: segments.TopicID{2}, Name: "other", Partitions: 1}
)

func newScene(t *testing.T, change func(*Options)) *scene {
	o := testOptions()
	if change != nil {
		change(o)
	}
	return &scene{t, NewGroup(o), time.Unix(1e9, 0), NewCatalog(1, []*coordinator.Topic{logTopic, otherTopic})}
}

// joining is the first heartbeat of a member.
func joining(id string, topics ...string) ConsumerHeartbeat {
	return ConsumerHeartbeat{MemberID: id, RebalanceTimeout: time.Minute, Names: topics, Owned: []segments.Partition{},
		Spare: 1 << 30}
}

// beating is a later one, by which nothing has changed.
func beating(id string, epoch int32, owned ...segments.Partition) ConsumerHeartbeat {
	return ConsumerHeartbeat{MemberID: id, Epoch: epoch, RebalanceTimeout: -1, Owned: owned, Spare: 1 << 30}
}

func (s *scene) say(r ConsumerHeartbeat) ConsumerAnswer {
	s.t.Helper()
	if err := r.Validate(); err != nil {
		return ConsumerAnswer{Err: err}
	}
	a := s.ConsumerHeartbeat(s.now, &r, "made-here", s.topics)
	s.Settle(s.now)
	slices.SortFunc(a.Assigned, segments.Partition.Compare)
	return a
}

// want sends a heartbeat, and compares the answer: an epoch, and the partitions of the topic log;
// nil if they are as they were.
func (s *scene) want(r ConsumerHeartbeat, epoch int32, assigned []int32) {
	s.t.Helper()
	a := s.say(r)
	var got []int32
	for _, at := range a.Assigned {
		got = append(got, at.Index)
	}
	if a.Err != nil || a.Epoch != epoch || a.Assigns != (assigned != nil) || !slices.Equal(got, assigned) {
		s.t.Fatalf("%s is answered %+v, want epoch %d and %v", r.MemberID, a, epoch, assigned)
	}
}

func (s *scene) wantRefused(r ConsumerHeartbeat, want *kerr.Error) {
	s.t.Helper()
	if a := s.say(r); a.Err == nil || a.Err.Code != want.Code {
		s.t.Fatalf("%s is answered %+v, want %v", r.MemberID, a, want)
	}
}

func logPartition(index int32) segments.Partition {
	return segments.Partition{Topic: logTopic.ID, Index: index}
}

// A partition changes hands: the first owner is told to let go, stays in its epoch until it says
// so, and only then the second gets it.
func TestPartitionChangesHands(t *testing.T) {
	s := newScene(t, nil)
	s.want(joining("a", "log"), 1, []int32{0, 1})
	s.want(joining("b", "log"), 2, []int32{})
	s.want(beating("a", 1), 1, []int32{0})
	s.want(beating("b", 2), 2, nil)
	s.want(beating("a", 1, logPartition(0), logPartition(1)), 1, nil) // not yet
	s.want(beating("b", 2), 2, nil)
	if d := s.described(); d.State != Reconciling {
		t.Errorf("the group is %s", d.State)
	}
	s.want(beating("a", 1, logPartition(0)), 2, nil)
	s.want(beating("b", 2), 2, []int32{1})
	if d := s.described(); d.State != Stable || d.Epoch != 2 || len(d.Members[0].Has) != 1 || len(d.Members[1].Has) != 1 {
		t.Errorf("the group is %+v", d)
	}
}

func (s *scene) described() (d Description) {
	s.Describe(&d)
	return d
}

// Who does not let go until its rebalance timeout, or is silent for a session, is out, and the
// others get what it had.
func TestTimeoutsOfConsumers(t *testing.T) {
	s := newScene(t, nil)
	s.want(joining("a", "log"), 1, []int32{0, 1})
	s.want(joining("b", "log"), 2, []int32{})
	s.want(beating("a", 1), 1, []int32{0})
	for range 13 {
		s.say(beating("a", 1, logPartition(0), logPartition(1)))
		s.say(beating("b", s.member("b").epoch))
		s.now = s.now.Add(5 * time.Second)
		s.Tick(s.now)
	}
	s.wantRefused(beating("a", 1), kerr.UnknownMemberID)
	s.want(beating("b", 3), 3, nil)
	s.now = s.now.Add(45 * time.Second)
	s.Tick(s.now)
	if !s.Idle() || !s.Deadline().IsZero() {
		t.Errorf("%+v is left", s.described())
	}
}

func (s *scene) member(id string) *consumer { return s.kind.(*consumerGroup).members[id] }

// The answer with a new epoch may be lost. Its member comes with the one before, and is believed if
// it has nothing that it may not have.
func TestLostAnswers(t *testing.T) {
	s := newScene(t, nil)
	s.want(joining("a", "log"), 1, []int32{0, 1})
	s.want(joining("a", "log"), 1, []int32{0, 1}) // it has not heard that it is in
	s.topics = NewCatalog(2, []*coordinator.Topic{{ID: logTopic.ID, Name: "log", Partitions: 3}})
	s.kind.(*consumerGroup).see(s.topics)
	s.want(beating("a", 1), 2, []int32{0, 1, 2})
	s.wantRefused(beating("a", 1), kerr.FencedMemberEpoch) // what it has is not said
	s.wantRefused(beating("a", 1, logPartition(7)), kerr.FencedMemberEpoch)
	s.wantRefused(beating("a", 3), kerr.FencedMemberEpoch)
	again := beating("a", 1, logPartition(0), logPartition(1))
	again.Names, again.RebalanceTimeout = []string{"log"}, time.Minute
	s.want(again, 2, []int32{0, 1, 2})
	s.wantRefused(beating("a", 0), kerr.InvalidRequest)
}

// A static member that says that it comes back keeps its partitions until then, or until its
// session is over. Nobody else can have its place before.
func TestStaticConsumers(t *testing.T) {
	s := newScene(t, nil)
	static := func(r ConsumerHeartbeat) ConsumerHeartbeat {
		r.InstanceID = new("i")
		return r
	}
	s.want(static(joining("a1", "log")), 1, []int32{0, 1})
	s.wantRefused(static(joining("a2", "log")), kerr.UnreleasedInstanceID)
	s.wantRefused(static(beating("a2", 1)), kerr.FencedInstanceID)
	s.wantRefused(beating("a1", -2), kerr.InvalidRequest)
	if a := s.say(static(beating("a1", -2))); a.Err != nil || a.Epoch != -2 {
		t.Fatalf("leaving for a while: %+v", a)
	}
	s.want(joining("b", "log"), 2, []int32{})
	s.want(static(joining("a2", "log")), 2, []int32{0})
	s.wantRefused(beating("a1", 1), kerr.UnknownMemberID)
	s.want(beating("b", 2), 2, []int32{1})
	s.say(static(beating("a2", -2)))
	s.now = s.now.Add(44 * time.Second)
	s.say(beating("b", 2))
	s.now = s.now.Add(time.Second)
	s.Tick(s.now)
	s.want(beating("b", 2), 3, []int32{0, 1})
	if a := s.say(beating("b", -1)); a.Err != nil || a.Epoch != -1 || !s.Idle() {
		t.Errorf("leaving for good: %+v", a)
	}
}

// Regular expressions match whole names, and follow the topics.
func TestRegularExpressions(t *testing.T) {
	s := newScene(t, nil)
	r := joining("a")
	r.Names, r.Regex = nil, new("lo")
	s.want(r, 1, []int32{})
	r.Epoch, r.Regex = 1, new("l.*|x")
	s.want(r, 2, []int32{0, 1})
	r.Epoch, r.Regex = 2, new("")
	s.want(r, 3, []int32{})
	for _, bad := range []string{"(", "a)|(b", `\`, strings.Repeat("a", maxRegexBytes+1), "(a{1000}){1000}"} {
		r := joining("b")
		r.Regex = &bad
		s.wantRefused(r, kerr.InvalidRegularExpression)
	}
	if len(s.kind.(*consumerGroup).members) != 1 {
		t.Error("a member with a bad expression is in")
	}
}

// A commit needs the member's epoch, or one since which the member has had the partitions
// (KIP-1251).
func TestMemberEpochsOfCommits(t *testing.T) {
	s := newScene(t, nil)
	commit := func(member string, epoch int32, indexes ...int32) *kerr.Error {
		c := Committer{MemberID: member, Generation: epoch}
		for _, n := range indexes {
			c.Offsets = append(c.Offsets, coordinator.GroupOffset{Partition: logPartition(n)})
		}
		return s.MayCommit(s.now, c)
	}
	s.want(joining("a", "log"), 1, []int32{0, 1})
	s.want(joining("b", "log"), 2, []int32{})
	s.want(beating("a", 1), 1, []int32{0})
	if err := commit("a", 1, 0, 1); err != nil {
		t.Errorf("before it has let go: %v", err)
	}
	s.want(beating("a", 1, logPartition(0)), 2, nil)
	s.want(beating("b", 2), 2, []int32{1})
	for _, test := range []struct {
		member string
		epoch  int32
		index  int32
		want   *kerr.Error
	}{{"a", 2, 0, nil}, {"a", 1, 0, nil}, {"a", 1, 1, kerr.StaleMemberEpoch}, {"a", 3, 0, kerr.StaleMemberEpoch},
		{"b", 1, 1, kerr.StaleMemberEpoch},
		{"c", 1, 0, kerr.UnknownMemberID}, {"", -1, 0, kerr.UnknownMemberID}} {
		if err := commit(test.member, test.epoch, test.index); err != test.want {
			t.Errorf("%s commits %d in epoch %d: %v, want %v", test.member, test.index, test.epoch, err, test.want)
		}
	}
}

// Limits hold for what members send, and for how many partitions they want; who is in does not
// suffer from others.
func TestLimitsOfConsumers(t *testing.T) {
	s := newScene(t, func(o *Options) {
		o.Limits.MaxMembers, o.Limits.MemberBytes, o.Limits.GroupBytes = 2, 200, 2000
	})
	s.want(joining("a", "log"), 1, []int32{0, 1})
	s.wantRefused(joining("b", slices.Collect(func(yield func(string) bool) {
		for i := 0; yield(fmt.Sprint("topic-", i)) && i < 20; i++ {
		}
	})...), kerr.GroupMaxSizeReached)
	poor := joining("b", "log")
	poor.Spare = 100
	s.wantRefused(poor, kerr.GroupMaxSizeReached)
	s.topics = NewCatalog(2, []*coordinator.Topic{logTopic, {ID: segments.TopicID{3}, Name: "huge", Partitions: 100}})
	s.kind.(*consumerGroup).see(s.topics)
	s.wantRefused(joining("b", "huge"), kerr.GroupMaxSizeReached)
	s.want(joining("b", "log"), 2, []int32{})
	s.wantRefused(joining("c", "log"), kerr.GroupMaxSizeReached)
	in := joining("b", "log")
	in.Spare = -1
	s.want(in, 2, []int32{})
}

// Members vote on the assignor; a classic group whose assignor keeps data of its own in
// assignments, or that is none of consumers, stays what it is.
func TestAssignorsAndUpgrades(t *testing.T) {
	s := newScene(t, nil)
	r := joining("a", "log")
	r.Assignor = new("range")
	s.say(r)
	if d := s.described(); d.Protocol != "range" {
		t.Errorf("the assignor is %s", d.Protocol)
	}
	r = joining("b", "log")
	r.Assignor = new("uniform")
	s.say(r)
	if d := s.described(); d.Protocol != "uniform" {
		t.Errorf("the assignor is %s, when one member asks for each", d.Protocol)
	}
	subscribed := []byte{0, 0, 0, 0, 0, 1, 0, 3, 'l', 'o', 'g', 0xff, 0xff, 0xff, 0xff}
	for name, assignment := range map[string][]byte{"": {0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"data": {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7}, "malformed": {0, 0, 0, 0, 0, 9}} {
		s := newScene(t, func(o *Options) { o.InitialRebalanceDelay = -1 })
		g := s.kind.(*classicGroup)
		g.Join(s.now, &JoinRequest{SessionTimeout: time.Minute, RebalanceTimeout: time.Minute, ProtocolType: consumerProtocol,
			Protocols: []Protocol{{"range", subscribed}}, Spare: 1 << 30}, "old", 1)
		g.Sync(s.now, &SyncRequest{MemberID: "old", Generation: 1, Assignments: map[string][]byte{"old": assignment}}, 2)
		a := s.say(joining("a", "log"))
		if _, upgraded := s.kind.(*consumerGroup); upgraded != (name == "") {
			t.Errorf("%s: the group is a %T", name, s.kind)
		}
		if (a.Err == nil) != (name == "") || a.Err != nil && a.Err.Code != kerr.GroupIDNotFound.Code || a.Err == nil &&
			a.Epoch != 2 {
			t.Errorf("%s: joining is answered %+v", name, a)
		}
	}
}

// What members embed in the classic protocol is read without trust: nothing panics, nothing is
// larger than what came, and what is written can be read.
func FuzzEmbeddedProtocol(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 1, 0, 3, 'l', 'o', 'g', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 3, 'l', 'o', 'g', 0, 0, 0,
		1, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 3, 'l', 'o', 'g', 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff})
	topics := NewCatalog(1, []*coordinator.Topic{logTopic})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _ := readSubscription(b)
		n := len(s.topics)
		for _, topic := range s.owned {
			n += 1 + len(topic.partitions)
		}
		if n > len(b) {
			t.Fatalf("%d things in %d bytes", n, len(b))
		}
		assigned, _, ok := readAssignment(b)
		if !ok {
			return
		}
		some := map[segments.Partition]int32{}
		for _, at := range topics.partitions(assigned) {
			some[at] = 0
		}
		again, userData, ok := readAssignment(appendAssignment(nil, 0, some, topics))
		if !ok || userData || len(topics.partitions(again)) != len(some) {
			t.Fatalf("%v is read as %v", some, again)
		}
	})
}
