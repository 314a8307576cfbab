package protocol

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// consumerGroup is one group of the new protocol (KIP-848), as a Kafka 4 broker keeps it: a
// transition function, like classicGroup. Here the server decides who reads what. Every change of
// members, subscriptions or topics begins an epoch of the group, with a target for each member.
// Members come to their target one by one, with their heartbeats: each first lets go of what it is
// to give up, says so, and only then reaches the group's epoch and gets what is free.
//
// Members of the classic protocol can be in it too, while there is one of the new: see
// group_consumer_mixed.go.
type consumerGroup struct {
	limits  Limits
	session time.Duration // Kafka's group.consumer.session.timeout.ms
	topics  *Catalog

	epoch     int32 // of the group and of its targets
	assignor  string
	members   map[string]*consumer
	order     []*consumer          // as they joined
	instances map[string]*consumer // static members
	// the member that may be reading a partition: it was given the partition, and has not said that it
	// let go of it
	owners map[segments.Partition]*consumer
	// the topics that somebody is subscribed to, and how many partitions they had
	wanted map[segments.TopicID]int32
	// ids that were handed out to members of the classic protocol, until they join or this time comes
	expected map[string]time.Time

	agreed  uint64 // how often: see agreements
	sent    int    // bytes of what members sent
	meant   int    // partitions in all targets
	replies []Reply
}

// consumer is one member of a group.
type consumer struct {
	id, instance, rack   string
	clientID, clientHost string
	rebalance            time.Duration
	assignor             string
	names                []string // of the topics that it is subscribed to, ordered
	regex                string
	matched              []string // names that regex matches, of those that it may know of

	describes func(topic string) bool // which it may know of; nil: all
	resolved  time.Time               // when the regex was last matched

	epoch, previous int32 // epoch is away while a static member is not there
	state           progress
	target          []segments.Partition
	assigned        map[segments.Partition]int32 // what it may read, and since which epoch
	revoking        map[segments.Partition]int32 // what it was told to let go of
	heardBy         time.Time                    // when it is out, if nothing is heard of it
	revokeBy        time.Time                    // or if it has not let go

	classic *classicSide // of a member of the classic protocol
}

// away is the epoch of a static member that has said that it will come back; leaving that of one
// that will not.
const (
	leaving int32 = -1
	away    int32 = -2
)

// progress is how far a member is on its way to its target.
type progress uint8

const (
	settled    progress = iota // it has what the target of its epoch says
	unrevoked                  // it has to let go of something first
	unreleased                 // it waits for what others have to let go of
)

var _ ClassicMembers = (*consumerGroup)(nil)

func newConsumerGroup(o *Options, topics *Catalog) *consumerGroup {
	return &consumerGroup{limits: o.Limits, session: o.ConsumerSessionTimeout, topics: topics, assignor: defaultAssignor,
		members:   map[string]*consumer{},
		instances: map[string]*consumer{}, owners: map[segments.Partition]*consumer{}, wanted: map[segments.TopicID]int32{},
		expected: map[string]time.Time{}}
}

// agreements counts what changes of members, and of what they have and are to have.
func (g *consumerGroup) agreements() uint64 { return g.agreed }

func (g *consumerGroup) Idle() bool { return len(g.members) == 0 && len(g.expected) == 0 }

func (g *consumerGroup) Take() []Reply {
	due := g.replies
	g.replies = nil
	return due
}

func (g *consumerGroup) Abandon(time.Time, Ticket) {} // nobody waits

func (g *consumerGroup) die() {
	*g = consumerGroup{limits: g.limits, session: g.session, topics: g.topics, replies: g.replies}
}

// partitionBytes is about what it takes to know of one partition who it is meant for and who has
// it.
const partitionBytes = 160

func (g *consumerGroup) weight() (members, bytes int, generation int32) {
	return len(g.members), g.sent + g.meant*partitionBytes, g.epoch
}

// size is how many bytes of what the member sent are kept, about.
func (m *consumer) size() int {
	n := memberOverhead + len(m.id) + len(m.instance) + len(m.rack) + len(m.clientID) + len(m.clientHost) + len(m.regex)
	for _, name := range m.names {
		n += 16 + len(name)
	}
	if m.classic != nil {
		n += protocolBytes(m.classic.protocols)
	}
	return n
}

// phase is the group's state.
func (g *consumerGroup) phase() State {
	if len(g.members) == 0 {
		return Empty
	}
	for _, m := range g.order {
		if m.state != settled || m.epoch != g.epoch && m.epoch != away {
			return Reconciling
		}
	}
	return Stable
}

func (g *consumerGroup) Deadline() time.Time {
	var first time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, t := range g.expected {
		sooner(t)
	}
	for _, m := range g.order {
		for _, t := range m.deadlines() {
			sooner(t)
		}
	}
	return first
}

// overdue says that one of the member's deadlines has come.
func (m *consumer) overdue(now time.Time) bool {
	for _, t := range m.deadlines() {
		if !t.IsZero() && !now.Before(t) {
			return true
		}
	}
	return false
}

// deadlines are the times at which the member is out, zero for those that do not hold.
func (m *consumer) deadlines() [4]time.Time {
	all := [4]time.Time{m.heardBy, m.revokeBy}
	if c := m.classic; c != nil {
		all[2], all[3] = c.joinBy, c.syncBy
	}
	return all
}

// Tick takes members out whose time is over.
func (g *consumerGroup) Tick(now time.Time) {
	maps.DeleteFunc(g.expected, func(_ string, t time.Time) bool { return !now.Before(t) })
	removed := false
	for _, m := range slices.Clone(g.order) {
		if m.overdue(now) {
			g.remove(m)
			removed = true
		}
	}
	if removed {
		g.advance()
	}
}

// known returns the member, or why it is none.
func (g *consumerGroup) known(w Identity) (*consumer, *kerr.Error) {
	m := g.members[w.Member]
	if w.Instance != "" {
		switch m = g.instances[w.Instance]; {
		case m == nil:
			return nil, kerr.UnknownMemberID
		case m.id != w.Member:
			return nil, kerr.FencedInstanceID
		}
	}
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// add takes a member into the lists.
func (g *consumerGroup) add(m *consumer) {
	g.members[m.id] = m
	g.order = append(g.order, m)
	if m.instance != "" {
		g.instances[m.instance] = m
	}
	g.sent += m.size()
	g.agreed++
}

// remove takes a member out of the lists. Its partitions are free.
func (g *consumerGroup) remove(m *consumer) {
	g.own(m, nil, nil)
	delete(g.members, m.id)
	g.order = slices.DeleteFunc(g.order, func(other *consumer) bool { return other == m })
	if g.instances[m.instance] == m {
		delete(g.instances, m.instance)
	}
	g.sent -= m.size()
}

// rename gives the place of a static member to another run of it.
func (g *consumerGroup) rename(m *consumer, id string) {
	g.sent += len(id) - len(m.id)
	delete(g.members, m.id)
	g.agreed++
	m.id, m.epoch, m.previous = id, 0, 0
	g.members[id] = m
}

// MayCommit says whether offsets that somebody commits are to be taken. A member may be behind the
// group. One whose commit was overtaken by the answer to its own heartbeat may commit what it has
// had since the epoch that it knew (KIP-1251).
func (g *consumerGroup) MayCommit(_ time.Time, c Committer) *kerr.Error {
	if c.Generation < 0 && len(g.members) == 0 {
		return nil
	}
	m := g.members[c.MemberID]
	if m == nil {
		return kerr.UnknownMemberID
	}
	if c.Generation == m.epoch {
		return nil
	}
	if m.classic != nil {
		return kerr.IllegalGeneration
	}
	for i := range c.Offsets {
		since, mine := m.assigned[c.Offsets[i].Partition]
		if !mine {
			since, mine = m.revoking[c.Offsets[i].Partition]
		}
		if !mine || c.Generation < since || c.Generation > m.epoch {
			return kerr.StaleMemberEpoch
		}
	}
	return nil
}

// mayFetch says whether a member that asks for committed offsets is one.
func (g *consumerGroup) mayFetch(member string, epoch int32) *kerr.Error {
	m := g.members[member]
	switch {
	case m == nil:
		return kerr.UnknownMemberID
	case m.epoch != epoch && m.classic != nil:
		return kerr.IllegalGeneration
	case m.epoch != epoch:
		return kerr.StaleMemberEpoch
	}
	return nil
}

func (g *consumerGroup) Subscriptions() func(topic string) bool {
	names := map[string]bool{}
	for _, m := range g.order {
		for _, name := range slices.Concat(m.names, m.matched) {
			names[name] = true
		}
	}
	return func(topic string) bool { return names[topic] }
}

func (g *consumerGroup) Describe(d *Description) {
	d.Type, d.State, d.ProtocolType, d.Protocol = Consumer, g.phase(), consumerProtocol, g.assignor
	d.Epoch = g.epoch
	for _, m := range g.order {
		described := Member{ID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost, RackID: m.rack,
			Epoch: m.epoch, Classic: m.classic != nil,
			Topics: m.names, Regex: m.regex, Has: slices.Collect(maps.Keys(m.assigned)), Target: slices.Clone(m.target)}
		slices.SortFunc(described.Has, segments.Partition.Compare)
		slices.SortFunc(described.Target, segments.Partition.Compare)
		d.Members = append(d.Members, described)
	}
}

// subscribed returns the topics that a member is subscribed to.
func (g *consumerGroup) subscribed(m *consumer) []*coordinator.Topic {
	return g.topics.topics(m.names, m.matched)
}
