package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// State is where a group stands, by Kafka's names.
type State uint8

// The states.
const (
	Empty               State = iota // no members; perhaps committed offsets
	PreparingRebalance               // members are joining
	CompletingRebalance              // the leader is computing the assignment
	Stable                           // everybody has, or can have, their assignment
	Reconciling                      // of a consumer group: not everybody has what they are to have
	Dead                             // no longer this node's
)

// String is the state's name.
func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Reconciling", "Dead"}[s]
}

// Ticket names an answer that is given later. 0 is none.
type Ticket uint64

// classicGroup is one group of the classic protocol (KIP-394, KIP-345, KIP-429), as a Kafka 4
// broker keeps it. It is a transition function: each event is a method that gets the time and
// whatever is random, changes the state, and leaves the answers that are due to be taken. Equal
// events in equal order have equal results.
type classicGroup struct {
	limits Limits
	delay  time.Duration // before the first rebalance of an empty group, for the other members to come

	state        State
	generation   int32
	protocolType string
	protocol     string
	leader       string // member id; empty without members
	members      map[string]*member
	order        []*member            // as they joined
	instances    map[string]string    // static members: member ids by group.instance.id
	expected     map[string]time.Time // ids that were handed out, until they join or this time comes

	joinBy   time.Time     // when PreparingRebalance ends at the latest
	initial  bool          // it is the first rebalance of an empty group, which ends at joinBy and not before
	grown    bool          // and somebody joined lately
	moreTime time.Duration // by which it may be put off, all in all
	syncBy   time.Time     // when those who have not asked for their assignment are out; zero when all have

	agreed  uint64 // how often: see agreements
	bytes   int    // of what members sent
	replies []Reply
}

// member is one member of a group.
type member struct {
	id, instance         string
	clientID, clientHost string
	session, rebalance   time.Duration
	protocols            []Protocol // best first
	assignment           []byte

	join     Ticket // awaits the answer to its Join
	sync     Ticket // and to its Sync
	synced   bool   // has asked for its assignment in this generation
	fresh    bool   // has not been in any generation
	nameless bool   // does not know its id yet, and so cannot come again
	// the generation that it knows, while that need not be the group's: it came from a group of the
	// new protocol
	knows   int32
	heardBy time.Time // when it is out, if nothing is heard of it
}

// Protocol is a way of assigning that a member supports, with what its members tell the leader.
type Protocol struct {
	Name     string
	Metadata []byte
}

// freshTimeout is how long the Join of a member that is in no generation yet may wait: it cannot
// send heartbeats, so nobody would notice that it is gone.
const freshTimeout = 5 * time.Minute

func newClassicGroup(limits Limits, delay time.Duration) *classicGroup {
	return &classicGroup{limits: limits, delay: delay, members: map[string]*member{}, instances: map[string]string{},
		expected: map[string]time.Time{}}
}

// Reply is the answer to the request that has the ticket. One of the pointers is set.
type Reply struct {
	Ticket Ticket
	Join   *JoinAnswer
	Sync   *SyncAnswer
}

// Take returns the answers that are due.
func (g *classicGroup) Take() []Reply {
	due := g.replies
	g.replies = nil
	return due
}

func (g *classicGroup) answerJoin(t Ticket, a JoinAnswer) {
	if t != 0 {
		g.replies = append(g.replies, Reply{Ticket: t, Join: &a})
	}
}

func (g *classicGroup) answerSync(t Ticket, a SyncAnswer) {
	if t != 0 {
		g.replies = append(g.replies, Reply{Ticket: t, Sync: &a})
	}
}

// agreements counts generations that are complete, and what changes in one without another.
func (g *classicGroup) agreements() uint64 { return g.agreed }

// Idle says that there is nothing to remember.
func (g *classicGroup) Idle() bool {
	return len(g.members) == 0 && len(g.expected) == 0 && (g.state == Empty || g.state == Dead)
}

// Identity is how a member presents itself.
type Identity struct {
	Member, Instance string
}

// known returns the member, or why it is none.
func (g *classicGroup) known(w Identity) (*member, *kerr.Error) {
	if w.Instance != "" {
		switch id := g.instances[w.Instance]; id {
		case "":
			return nil, kerr.UnknownMemberID
		case w.Member:
		default:
			return nil, kerr.FencedInstanceID
		}
	}
	m := g.members[w.Member]
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// current is known for a member of this generation.
func (g *classicGroup) current(w Identity, generation int32) (*member, *kerr.Error) {
	if g.state == Dead {
		return nil, kerr.CoordinatorNotAvailable
	}
	m, err := g.known(w)
	if err == nil && generation != g.generation && (m.knows == 0 || generation != m.knows) {
		err = kerr.IllegalGeneration
	}
	return m, err
}

// heard says that the member is alive.
func (m *member) heard(now time.Time) { m.heardBy = now.Add(m.session) }

// overdue says that nothing was heard of the member for too long. While it waits for an answer it
// is not expected to send anything.
func (m *member) overdue(now time.Time) bool {
	if m.sync != 0 || m.join != 0 && !m.fresh {
		return false
	}
	return !now.Before(m.heardBy)
}

// Deadline is when tick has something to do, zero for never.
func (g *classicGroup) Deadline() time.Time {
	first := g.joinBy
	sooner := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	sooner(g.syncBy)
	for _, t := range g.expected {
		sooner(t)
	}
	for _, m := range g.order {
		if m.sync == 0 && (m.join == 0 || m.fresh) {
			sooner(m.heardBy)
		}
	}
	return first
}

// Tick does what time demands.
func (g *classicGroup) Tick(now time.Time) {
	removed := false
	for id, t := range g.expected {
		if !now.Before(t) {
			delete(g.expected, id)
		}
	}
	for _, m := range slices.Clone(g.order) {
		if m.overdue(now) {
			g.remove(m)
			removed = true
		}
	}
	if removed {
		g.rebalance(now)
	}
	g.completeIfAllJoined(now)
	if !g.syncBy.IsZero() && !now.Before(g.syncBy) {
		g.dropUnsynced(now)
	}
	if g.state == PreparingRebalance && !now.Before(g.joinBy) {
		if g.initial && g.grown && g.moreTime > 0 {
			g.putOff(now)
		} else {
			g.complete(now)
		}
	}
}

// Heartbeat says that a member is alive, and tells it whether it has to join again.
func (g *classicGroup) Heartbeat(now time.Time, w Identity, generation int32) *kerr.Error {
	m, err := g.current(w, generation)
	if err != nil {
		return err
	}
	m.heard(now)
	if g.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// Leave takes a member out.
func (g *classicGroup) Leave(now time.Time, w Identity) *kerr.Error {
	if g.state == Dead {
		return kerr.CoordinatorNotAvailable
	}
	if w.Member == "" && w.Instance != "" {
		w.Member = g.instances[w.Instance]
	}
	if _, expected := g.expected[w.Member]; expected && w.Instance == "" {
		delete(g.expected, w.Member)
		g.completeIfAllJoined(now)
		return nil
	}
	m, err := g.known(w)
	if err != nil {
		return err
	}
	g.remove(m)
	g.rebalance(now)
	return nil
}

// Abandon says that nobody waits for this answer any more.
func (g *classicGroup) Abandon(now time.Time, t Ticket) {
	for _, m := range g.order {
		switch t {
		case m.join:
			m.join = 0
			m.heard(now)
			if m.nameless {
				g.remove(m)
				g.rebalance(now)
			}
			return
		case m.sync:
			m.sync = 0
			m.heard(now)
			return
		}
	}
}

// MayCommit says whether offsets that somebody commits are to be taken. Without a generation they
// come from someone who assigns partitions to itself, or from an administrator: that is allowed
// while there are no members.
func (g *classicGroup) MayCommit(now time.Time, c Committer) *kerr.Error {
	w, generation := Identity{c.MemberID, c.InstanceID}, c.Generation
	if g.state == Dead {
		return kerr.CoordinatorNotAvailable
	}
	if generation < 0 && g.state == Empty {
		return nil
	}
	if generation < 0 && w == (Identity{}) {
		return kerr.UnknownMemberID
	}
	m, err := g.current(w, generation)
	if err != nil {
		return err
	}
	m.heard(now)
	if g.state == CompletingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// die answers everybody who waits: this node does not own the group any more.
func (g *classicGroup) die() {
	for _, m := range g.order {
		g.answerJoin(m.join, JoinAnswer{Err: kerr.NotCoordinator, MemberID: m.id})
		g.answerSync(m.sync, SyncAnswer{Err: kerr.NotCoordinator})
	}
	*g = classicGroup{state: Dead, limits: g.limits, replies: g.replies}
}

// admit takes a member in.
func (g *classicGroup) admit(m *member) {
	g.members[m.id] = m
	g.order = append(g.order, m)
	if m.instance != "" {
		g.instances[m.instance] = m.id
	}
	g.bytes += m.size()
}

// remove takes a member out of the lists. The caller does whatever follows from that.
func (g *classicGroup) remove(m *member) {
	delete(g.members, m.id)
	g.order = slices.DeleteFunc(g.order, func(other *member) bool { return other == m })
	if g.instances[m.instance] == m.id {
		delete(g.instances, m.instance)
	}
	g.bytes -= m.size()
	if g.leader == m.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0].id
		}
	}
	g.answerJoin(m.join, JoinAnswer{Err: kerr.UnknownMemberID, MemberID: m.id})
	g.answerSync(m.sync, SyncAnswer{Err: kerr.UnknownMemberID})
	m.join, m.sync = 0, 0
}

func (g *classicGroup) weight() (members, bytes int, generation int32) {
	return len(g.members), g.bytes, g.generation
}

// size is how many bytes the member makes the server keep, about.
func (m *member) size() int {
	return memberOverhead + len(m.id) + len(m.instance) + len(m.clientID) + len(m.clientHost) +
		protocolBytes(m.protocols) + len(m.assignment)
}

const memberOverhead = 256

func protocolBytes(protocols []Protocol) int {
	n := 0
	for _, p := range protocols {
		n += 48 + len(p.Name) + len(p.Metadata)
	}
	return n
}

// longestRebalance is the longest rebalance timeout of all members.
func (g *classicGroup) longestRebalance() time.Duration {
	if len(g.order) == 0 {
		return 0
	}
	return slices.MaxFunc(g.order, func(a, b *member) int { return cmp.Compare(a.rebalance, b.rebalance) }).rebalance
}

func (g *classicGroup) Describe(d *Description) {
	d.State, d.ProtocolType = g.state, g.protocolType
	if g.state == Stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.order {
		described := Member{ID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost,
			Assignment: m.assignment}
		if g.state == Stable {
			described.Metadata = m.metadata(g.protocol)
		}
		d.Members = append(d.Members, described)
	}
}
