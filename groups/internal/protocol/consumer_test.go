package protocol

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// twins are two groups that get the same events, and have to give the same answers.
type twins struct {
	a, b    *Group
	now     time.Time
	topics  *Catalog
	tickets Ticket
	replies map[Ticket]Reply
	ids     int
}

func newTwins(delay time.Duration) *twins {
	o := testOptions()
	o.InitialRebalanceDelay, o.ConsumerSessionTimeout = cmp.Or(delay, o.InitialRebalanceDelay), 10*time.Second
	return &twins{a: NewGroup(o), b: NewGroup(o), now: time.Unix(1e9, 0), topics: NewCatalog(1, nil),
		replies: map[Ticket]Reply{}}
}

// do runs an event in both.
func (w *twins) do(t *rapid.T, event func(g *Group) any) any {
	answers := [2]any{}
	for i, g := range []*Group{w.a, w.b} {
		answers[i] = event(g)
		g.Settle(w.now)
	}
	if !reflect.DeepEqual(answers[0], answers[1]) {
		t.Fatalf("different answers to the same event: %+v, %+v", answers[0], answers[1])
	}
	due, same := w.a.Take(), w.b.Take()
	if !reflect.DeepEqual(due, same) {
		t.Fatalf("different replies to the same event: %+v, %+v", due, same)
	}
	for _, r := range due {
		w.replies[r.Ticket] = r
	}
	return answers[0]
}

func (w *twins) consumerHeartbeat(t *rapid.T, r ConsumerHeartbeat) ConsumerAnswer {
	r.Spare = 1 << 30
	w.ids++
	id := fmt.Sprint("server-made-", w.ids)
	return w.do(t, func(g *Group) any {
		a := g.ConsumerHeartbeat(w.now, &r, id, w.topics)
		slices.SortFunc(a.Assigned, segments.Partition.Compare)
		return a
	}).(ConsumerAnswer)
}

func (w *twins) learn(t *rapid.T, topics []*coordinator.Topic) {
	w.topics = NewCatalog(w.topics.version+1, topics)
	w.do(t, func(g *Group) any {
		if m, ok := g.kind.(*consumerGroup); ok {
			m.see(w.topics)
		}
		return nil
	})
}

func (w *twins) pass(t *rapid.T, by time.Duration) {
	w.now = w.now.Add(by)
	w.do(t, func(g *Group) any { g.Tick(w.now); return nil })
}

// has says whether the group knows a member.
func (w *twins) has(id string) bool {
	switch k := w.a.kind.(type) {
	case *consumerGroup:
		return k.members[id] != nil
	case *classicGroup:
		return k.members[id] != nil
	}
	return false
}

// actor is a consumer as it would behave: of the new protocol, or a cooperative or eager one of the
// classic.
type actor struct {
	id, instance string
	classic      bool
	eager        bool
	names        []string
	regex        string

	epoch   int32
	in      bool                        // it is a member, as far as it knows
	reads   map[segments.Partition]bool // what it is reading now
	dropped bool                        // it has let go of something since it last said what it has
	told    map[segments.Partition]bool // what it was last told to read
	unsure  bool                        // the answer to its last heartbeat was lost
	again   bool                        // it has to join again, as a member of the classic protocol, to say what it wants

	joining, syncing Ticket
	answered         JoinAnswer
}

func (c *actor) owned() []segments.Partition {
	return slices.SortedFunc(maps.Keys(c.reads), segments.Partition.Compare)
}

// lose makes it forget its membership.
func (c *actor) lose() {
	c.in, c.epoch, c.dropped, c.unsure = false, 0, false, false
	c.reads, c.told = map[segments.Partition]bool{}, map[segments.Partition]bool{}
}

// hear takes in what it may read: what is new at once, and what it has to give up when it lets go.
func (c *actor) hear(assigned []segments.Partition) {
	c.told = map[segments.Partition]bool{}
	for _, at := range assigned {
		c.told[at] = true
		c.reads[at] = true
	}
}

// letGo gives up what it is not to read any more.
func (c *actor) letGo() {
	for at := range c.reads {
		if !c.told[at] {
			delete(c.reads, at)
			c.dropped = true
		}
	}
}

// act lets it do what it has to do next. Heard is false if the answer does not reach it.
func (c *actor) act(t *rapid.T, w *twins, full, heard bool) {
	if c.classic {
		c.actClassic(t, w)
		return
	}
	r := ConsumerHeartbeat{MemberID: c.id, Epoch: c.epoch, RebalanceTimeout: -1}
	if full = full || c.unsure || !c.in; full {
		r.RebalanceTimeout, r.Names, r.Regex = 5*time.Second, c.names, &c.regex
		if c.instance != "" {
			r.InstanceID = &c.instance
		}
	}
	if full || c.dropped {
		r.Owned = c.owned()
		if r.Owned == nil {
			r.Owned = []segments.Partition{}
		}
	}
	a := w.consumerHeartbeat(t, r)
	switch {
	case !heard:
		c.unsure = true
	case a.Err == nil:
		if c.in && a.Epoch < c.epoch {
			t.Fatalf("%s comes from epoch %d to %d", c.id, c.epoch, a.Epoch)
		}
		c.in, c.epoch, c.unsure, c.dropped = true, a.Epoch, false, false
		if a.Assigns {
			c.hear(a.Assigned)
		}
	case a.Err == kerr.UnknownMemberID || a.Err.Code == kerr.FencedMemberEpoch.Code:
		c.lose()
	case a.Err.Code == kerr.UnreleasedInstanceID.Code || a.Err == kerr.FencedInstanceID:
	default:
		t.Fatalf("%s is told %v", c.id, a.Err)
	}
}

// metadata is what it says of itself in the classic protocol.
func (c *actor) metadata(topics *Catalog) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics = 2, c.names
	for _, at := range c.owned() {
		if topic := topics.byID[at.Topic]; topic != nil {
			m.OwnedPartitions = append(m.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: topic.Name,
				Partitions: []int32{at.Index}})
		}
	}
	return m.AppendTo(nil)
}

func (c *actor) actClassic(t *rapid.T, w *twins) {
	w.tickets++
	ticket := w.tickets
	switch {
	case c.joining != 0:
		r, due := w.replies[c.joining]
		if !due {
			return
		}
		c.joining, c.answered = 0, *r.Join
		switch r.Join.Err {
		case nil:
			c.in, c.epoch, c.syncing = true, r.Join.Generation, ticket
			c.sync(t, w, ticket)
		case kerr.UnknownMemberID:
			c.lose()
		}
	case c.syncing != 0:
		r, due := w.replies[c.syncing]
		if !due {
			return
		}
		c.syncing = 0
		switch r.Sync.Err {
		case nil:
			topics, _, ok := readAssignment(r.Sync.Assignment)
			if !ok {
				t.Fatalf("assignment %x", r.Sync.Assignment)
			}
			c.hear(w.topics.partitions(topics))
			if before := len(c.reads); !c.eager {
				c.letGo()
				c.dropped = len(c.reads) < before
			}
		case kerr.RebalanceInProgress:
			c.join(t, w, ticket)
		default:
			c.lose()
		}
	case !c.in || c.dropped || c.again:
		c.join(t, w, ticket)
	default:
		err := w.do(t, func(g *Group) any {
			members, err := g.AsClassic()
			if err == nil {
				err = members.Heartbeat(w.now, Identity{c.id, c.instance}, c.epoch)
			}
			return err
		}).(*kerr.Error)
		switch err {
		case nil:
		case kerr.RebalanceInProgress:
			c.join(t, w, ticket)
		default:
			c.lose()
		}
	}
}

func (c *actor) join(t *rapid.T, w *twins, ticket Ticket) {
	if c.eager {
		c.reads = map[segments.Partition]bool{}
	}
	c.dropped, c.again = false, false
	c.joining = ticket
	member := c.id
	if !c.in {
		w.ids++
		member, c.id = "", fmt.Sprint(c.id, "-", w.ids)
	}
	protocol := Protocol{"sticky", c.metadata(w.topics)}
	w.do(t, func(g *Group) any {
		members, err := g.AsClassic()
		if err == nil {
			members.Join(w.now, &JoinRequest{MemberID: member, SessionTimeout: 10 * time.Second,
				RebalanceTimeout: 5 * time.Second, ProtocolType: consumerProtocol,
				Protocols: []Protocol{protocol}, Spare: 1 << 30}, c.id, ticket)
		}
		return err
	})
}

// sync asks for the assignment. A leader lets everybody keep what they have, and divides the rest.
func (c *actor) sync(t *rapid.T, w *twins, ticket Ticket) {
	assignments := map[string][]byte{}
	if c.answered.Leader == c.id {
		taken, plan := map[segments.Partition]bool{}, map[string]map[segments.Partition]int32{}
		for _, m := range c.answered.Members {
			plan[m.MemberID] = map[segments.Partition]int32{}
			said, _ := readSubscription(m.Metadata)
			for _, at := range w.topics.partitions(said.owned) {
				if taken[at] = true; slices.Contains(said.topics, w.topics.byID[at.Topic].Name) {
					plan[m.MemberID][at] = 0
				} // else it has to let go of it first
			}
		}
		for _, m := range c.answered.Members {
			said, _ := readSubscription(m.Metadata)
			for _, topic := range w.topics.topics(said.topics) {
				for n := range topic.Partitions {
					if at := (segments.Partition{Topic: topic.ID, Index: n}); !taken[at] {
						taken[at], plan[m.MemberID][at] = true, 0
					}
				}
			}
			assignments[m.MemberID] = appendAssignment(nil, 0, plan[m.MemberID], w.topics)
		}
	}
	w.do(t, func(g *Group) any {
		members, err := g.AsClassic()
		if err == nil {
			members.Sync(w.now, &SyncRequest{MemberID: c.id, Generation: c.epoch, Assignments: assignments}, ticket)
		}
		return err
	})
}

// stage is a group and all who are in it.
type stage struct {
	*twins
	actors []*actor
	came   int
	last   int32

	partitions [3]int32 // of topics; 0: it does not exist yet, negative: nor any more
}

// step draws one event.
func (s *stage) step(t *rapid.T) {
	if len(s.actors) == 0 || rapid.IntRange(0, 9).Draw(t, "comes") == 0 && len(s.actors) < 6 {
		s.enter(t, "")
		return
	}
	i := rapid.IntRange(0, len(s.actors)-1).Draw(t, "actor")
	c := s.actors[i]
	switch rapid.IntRange(0, 19).Draw(t, "event") {
	case 0: // it dies
		s.actors = slices.Delete(s.actors, i, i+1)
	case 1:
		s.leave(t, i)
	case 2:
		s.change(t)
	case 3, 4:
		s.pass(t, time.Duration(rapid.IntRange(0, 9000).Draw(t, "millis"))*time.Millisecond)
	case 5:
		c.names, c.regex = drawNames(t), ""
		if !c.classic && rapid.Bool().Draw(t, "regex") {
			c.regex = "t[01]"
		}
		c.unsure, c.again = true, true
	case 6, 7, 8, 9:
		c.letGo()
	default:
		c.act(t, s.twins, rapid.Bool().Draw(t, "full"), rapid.IntRange(0, 4).Draw(t, "heard") > 0)
	}
}

// change makes a new topic, gives one more partitions, or deletes one for good: classic members
// know topics by name and would take another of the same name for it.
func (s *stage) change(t *rapid.T) {
	i := rapid.IntRange(0, len(s.partitions)-1).Draw(t, "topic")
	if s.partitions[i] >= 0 {
		s.partitions[i] += int32(rapid.IntRange(0, 3).Draw(t, "more"))
		if s.partitions[i] > 0 && rapid.IntRange(0, 9).Draw(t, "deleted") == 0 {
			s.partitions[i] = -1
		}
	}
	s.learnAll(t)
}

func (s *stage) learnAll(t *rapid.T) {
	var topics []*coordinator.Topic
	for i, n := range s.partitions {
		if n > 0 {
			topics = append(topics, &coordinator.Topic{ID: segments.TopicID{byte(i + 1)}, Name: fmt.Sprint("t", i),
				Partitions: n})
		}
	}
	s.learn(t, topics)
	for _, c := range s.actors {
		c.again = true // leaders look at the topics themselves
	}
}

func drawNames(t *rapid.T) []string {
	return rapid.SampledFrom([][]string{{"t0", "t1", "t2"}, {"t0", "t1", "t2"}, {"t0"}, {"t1", "t2"}, {"t9"}}).Draw(t,
		"names")
}

func (s *stage) enter(t *rapid.T, instance string) {
	s.came++
	c := &actor{id: fmt.Sprint("m", s.came), instance: instance, names: drawNames(t)}
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		c.classic = instance == ""
	case 1:
		c.classic, c.eager = instance == "", true
	case 2:
		if c.instance == "" {
			c.instance = fmt.Sprint("i", s.came)
		}
	}
	c.lose()
	s.actors = append(s.actors, c)
}

func (s *stage) leave(t *rapid.T, i int) {
	c := s.actors[i]
	s.actors = slices.Delete(s.actors, i, i+1)
	switch {
	case c.classic:
		s.do(t, func(g *Group) any {
			members, err := g.AsClassic()
			if err == nil {
				err = members.Leave(s.now, Identity{Member: c.id})
			}
			return err
		})
	case c.instance != "" && rapid.Bool().Draw(t, "comes back"):
		s.consumerHeartbeat(t, ConsumerHeartbeat{MemberID: c.id, Epoch: away, InstanceID: &c.instance})
		s.enter(t, c.instance)
	default:
		s.consumerHeartbeat(t, ConsumerHeartbeat{MemberID: c.id, Epoch: leaving})
	}
}

// check sees to it that nobody reads what another reads, as long as the group counts them among its
// members, and that the lists agree.
func (s *stage) check(t *rapid.T) {
	readers := map[segments.Partition]*actor{}
	for _, c := range s.actors {
		if !c.in || !s.has(c.id) {
			continue
		}
		for at := range c.reads {
			if other := readers[at]; other != nil {
				t.Fatalf("%s is read by %s and %s", at, other.id, c.id)
			}
			readers[at] = c
		}
	}
	g, ok := s.a.kind.(*consumerGroup)
	if !ok {
		s.last = 0
		return
	}
	if g.epoch < s.last {
		t.Fatalf("epoch %d after %d", g.epoch, s.last)
	}
	s.last = g.epoch
	if len(g.members) == 0 {
		s.last = 0 // the next may be another group
	}
	sent, meant, owned := 0, 0, 0
	for _, m := range g.order {
		sent, meant = sent+m.size(), meant+len(m.target)
		if g.members[m.id] != m || m.instance != "" && g.instances[m.instance] != m {
			t.Fatalf("the lists of members differ on %s", m.id)
		}
		if m.epoch > g.epoch || (m.state == unrevoked) != (len(m.revoking) > 0) {
			t.Fatalf("%s is in epoch %d of %d, in state %d with %d to let go of", m.id, m.epoch, g.epoch, m.state,
				len(m.revoking))
		}
		for _, some := range []map[segments.Partition]int32{m.assigned, m.revoking} {
			owned += len(some)
			for at := range some {
				if g.owners[at] != m {
					t.Fatalf("%s of %s has another owner", at, m.id)
				}
			}
		}
	}
	if sent != g.sent || owned != len(g.owners) || len(g.members) != len(g.order) {
		t.Fatalf("%d bytes, should be %d; %d owned, should be %d", g.sent, sent, len(g.owners), owned)
	}
}

// calm lets everybody do what they have to until nothing changes any more, and sees to it that
// every partition that somebody wants is read.
func (s *stage) calm(t *rapid.T) {
	for range 100 {
		for _, c := range s.actors {
			c.letGo()
			c.act(t, s.twins, false, true)
			s.check(t)
		}
		s.pass(t, 300*time.Millisecond)
	}
	readers := map[segments.Partition]bool{}
	wanted := map[segments.Partition]bool{}
	for _, c := range s.actors {
		names := c.names
		if c.regex != "" {
			matched, _ := s.topics.match(c.regex)
			names = slices.Concat(names, matched)
		}
		for _, topic := range s.topics.topics(names) {
			for n := range topic.Partitions {
				wanted[segments.Partition{Topic: topic.ID, Index: n}] = true
			}
		}
		for at := range c.reads {
			readers[at] = true
		}
	}
	if !maps.Equal(readers, wanted) {
		d := Description{}
		s.a.Describe(&d)
		t.Fatalf("%d partitions are read, %d wanted: %+v", len(readers), len(wanted), d)
	}
	if len(s.actors) > 0 {
		d := Description{}
		if s.a.Describe(&d); d.State != Stable {
			t.Fatalf("the group is %+v", d)
		}
	}
}

// Whatever members of both protocols do, in whatever order: nobody reads a partition that another
// reads, epochs grow, the accounts are right, equal events have equal results, and when calm
// returns every partition is read by one.
func TestConsumerGroupKeepsItsInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &stage{twins: newTwins(-1), partitions: [3]int32{4, 3, 0}}
		s.learnAll(t)
		for range rapid.IntRange(1, 150).Draw(t, "events") {
			s.step(t)
			s.check(t)
		}
		s.calm(t)
		s.actors = nil
		for range 4 {
			s.pass(t, time.Hour)
		}
		if _, bytes, _ := s.a.weight(); !s.a.Idle() || bytes != 0 || !s.a.Deadline().IsZero() {
			t.Fatalf("%d bytes are left, deadline %s", bytes, s.a.Deadline())
		}
	})
}
