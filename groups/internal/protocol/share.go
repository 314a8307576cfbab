package protocol

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/segments"
)

// ShareGroup is one share group (KIP-932), as a Kafka 4 broker keeps it: a transition function,
// like classicGroup. Its members work through partitions together, record by record, so a partition
// may be assigned to many of them, and a member has nothing to let go of before it reaches the
// group's epoch. What becomes of records is in its partitions.
type ShareGroup struct {
	limits  Limits
	session time.Duration // Kafka's share.session.timeout.ms
	Rules   ShareRules
	topics  *Catalog

	epoch   int32 // of the group and of its targets
	members map[string]*shareMember
	order   []*shareMember // as they joined
	wanted  map[segments.TopicID]int32
	// those that somebody has asked for since the group is in memory; of others what is stored
	// holds
	Partitions map[segments.Partition]*SharePartition

	wakes  time.Time // when records may be given back; zero: never
	agreed uint64    // how often: see agreements
	freed  uint64    // how often there was perhaps something new to be had
	lapsed uint64    // records whose time was over
	sent   int       // bytes of what members sent
	meant  int       // partitions in all targets
}

// shareMember is one member of a share group.
type shareMember struct {
	id, rack             string
	clientID, clientHost string
	names                []string // of the topics that it is subscribed to, ordered

	epoch, previous int32
	target          []segments.Partition
	untold          bool // its target is new
	heardBy         time.Time
}

// ShareHeartbeat is what a member of a share group says: that it is alive, and whatever has
// changed.
type ShareHeartbeat struct {
	MemberID             string
	Epoch                int32 // 0 to join, -1 to leave
	RackID               *string
	ClientID, ClientHost string
	Names                []string // of topics; nil: as they were

	// groups.Manager fills these in:

	Spare   int64         // bytes that the node has left for all groups
	Session time.Duration // of the group's members from now on
}

var _ kind = (*ShareGroup)(nil)

func newShareGroup(o *Options, topics *Catalog) *ShareGroup {
	return &ShareGroup{limits: o.Limits, session: o.ConsumerSessionTimeout, topics: topics,
		members: map[string]*shareMember{}, wanted: map[segments.TopicID]int32{},
		Partitions: map[segments.Partition]*SharePartition{}}
}

// AsShare returns the group as a share group, which it becomes if it is to and is nothing else.
func (g *Group) AsShare(begin bool, topics *Catalog) (*ShareGroup, *kerr.Error) {
	if g.Dead {
		return nil, kerr.NotCoordinator
	}
	if s, is := g.kind.(*ShareGroup); is {
		return s, nil
	}
	if !begin || !g.Vacant() || g.Remembers() {
		return nil, Refusal(kerr.GroupIDNotFound, "The group is not a share group.")
	}
	s := newShareGroup(g.opts, topics)
	g.kind = s
	return s, nil
}

// IsShare says that the group is a share group, which it stays until it is deleted.
func (g *Group) IsShare() bool {
	_, is := g.kind.(*ShareGroup)
	return is
}

// Validate refuses what no group could take.
func (r *ShareHeartbeat) Validate() *kerr.Error {
	switch {
	case r.MemberID == "":
		return Refusal(kerr.InvalidRequest, "MemberId can't be empty.")
	case r.Epoch < leaving:
		return Refusal(kerr.InvalidRequest, "MemberEpoch is invalid.")
	case r.Epoch == 0 && len(r.Names) == 0:
		return Refusal(kerr.InvalidRequest, "SubscribedTopicNames must be set in first request.")
	}
	return nil
}

// Heartbeat takes in a heartbeat of a member.
func (g *ShareGroup) Heartbeat(now time.Time, r *ShareHeartbeat) ConsumerAnswer {
	m := g.members[r.MemberID]
	switch {
	case m == nil && r.Epoch != 0:
		return ConsumerAnswer{Err: kerr.UnknownMemberID}
	case r.Epoch == leaving:
		g.remove(m)
		g.advance()
		return ConsumerAnswer{MemberID: r.MemberID, Epoch: leaving}
	case r.Epoch != 0 && r.Epoch != m.previous && (r.Epoch < m.epoch || r.Epoch > g.epoch):
		// The former owner may have told it of a later epoch than is stored of it.
		return ConsumerAnswer{Err: Refusal(kerr.FencedMemberEpoch, "The member's epoch is %d and not %d.", m.epoch, r.Epoch)}
	case m == nil && len(g.members) >= g.limits.MaxMembers:
		return ConsumerAnswer{Err: Refusal(kerr.GroupMaxSizeReached,
			"The share group has reached its maximum capacity of %d members.", g.limits.MaxMembers)}
	}
	g.session = r.Session
	next := shareMember{id: r.MemberID}
	if m != nil {
		next = *m
	}
	next.clientID, next.clientHost, next.heardBy = r.ClientID, r.ClientHost, now.Add(g.session)
	if r.RackID != nil {
		next.rack = strings.Clone(*r.RackID)
	}
	if r.Names != nil {
		next.names = named(r.Names)
	}
	if err := g.checkLimits(m, &next, r.Spare); err != nil {
		return ConsumerAnswer{Err: err}
	}
	isNew := m == nil
	if isNew {
		next.id = strings.Clone(r.MemberID)
		m = &shareMember{}
		g.members[next.id] = m
		g.order = append(g.order, m)
	} else {
		g.sent -= m.size()
	}
	differs := isNew || !slices.Equal(m.names, next.names)
	*m = next
	g.sent += m.size()
	if differs {
		g.advance()
	}
	if m.epoch != g.epoch {
		m.previous, m.epoch = m.epoch, g.epoch
	}
	a := ConsumerAnswer{MemberID: m.id, Epoch: m.epoch}
	if m.untold || r.Epoch == 0 || r.Names != nil {
		a.Assigns, a.Assigned, m.untold = true, slices.Clone(m.target), false
	}
	return a
}

// checkLimits holds the limits for what a member, nil for a new one, is to be.
func (g *ShareGroup) checkLimits(m, next *shareMember, spare int64) *kerr.Error {
	grows := next.size()
	if m != nil {
		grows -= m.size()
	}
	for _, t := range g.topics.topics(next.names) {
		if _, counted := g.wanted[t.ID]; !counted {
			grows += int(t.Partitions) * partitionBytes
		}
	}
	_, bytes, _ := g.weight()
	if grows > 0 && (next.size() > memberOverhead+g.limits.MemberBytes || bytes+grows > g.limits.GroupBytes ||
		int64(grows) > spare) {
		return Refusal(kerr.GroupMaxSizeReached,
			"The member's subscription is too large, or the group, or all groups together.")
	}
	return nil
}

// size is how many bytes of what the member sent are kept, about.
func (m *shareMember) size() int {
	n := memberOverhead + len(m.id) + len(m.rack) + len(m.clientID) + len(m.clientHost)
	for _, name := range m.names {
		n += 16 + len(name)
	}
	return n
}

// remove takes a member out, and gives back what it has acquired.
func (g *ShareGroup) remove(m *shareMember) {
	delete(g.members, m.id)
	g.order = slices.DeleteFunc(g.order, func(other *shareMember) bool { return other == m })
	g.sent -= m.size()
	g.Release(m.id, nil)
}

// Acquire gives a member records of a partition of the group.
func (g *ShareGroup) Acquire(now time.Time, p *SharePartition, a *ShareAcquisition) []AcquiredRange {
	before := p.version
	got := p.Acquire(now, a, &g.Rules)
	if len(got) > 0 {
		g.Wake(now.Add(cmp.Or(a.Lock, g.Rules.Lock)))
	} else if p.version != before { // no acknowledgement will store it, and an idle group is forgotten
		g.agreed++
	}
	return got
}

// Release gives back what a member has acquired of some partitions; nil: of all.
func (g *ShareGroup) Release(member string, of []segments.Partition) { g.release(member, of, true) }

// Unclaim gives back what a member has acquired and was never told of: those deliveries do not
// count.
func (g *ShareGroup) Unclaim(member string) { g.release(member, nil, false) }

func (g *ShareGroup) release(member string, of []segments.Partition, told bool) {
	if of == nil {
		of = slices.Collect(maps.Keys(g.Partitions))
	}
	for _, at := range of {
		p := g.Partitions[at]
		if p == nil {
			continue
		}
		if p.releaseAll(&g.Rules, told, func(l *shareLock) bool { return l.member == member }) > 0 {
			g.agreed++
			g.freed++
		}
	}
}

// advance begins an epoch, with new targets.
func (g *ShareGroup) advance() {
	g.epoch++
	g.agreed++
	g.wanted = g.wants()
	before := make(map[*shareMember][]segments.Partition, len(g.order))
	for _, m := range g.order {
		before[m] = m.target
	}
	assignShares(g.order, g.topics)
	g.meant = 0
	for _, m := range g.order {
		m.untold = m.untold || !slices.Equal(before[m], m.target)
		g.meant += len(m.target)
	}
}

// see takes in which topics there are.
func (g *ShareGroup) see(topics *Catalog) {
	g.topics = topics
	for at := range g.Partitions {
		if topics.byID[at.Topic] == nil {
			delete(g.Partitions, at)
		}
	}
	if !maps.Equal(g.wants(), g.wanted) {
		g.advance()
	}
}

// wants are the topics that members are subscribed to, and how many partitions each has.
func (g *ShareGroup) wants() map[segments.TopicID]int32 {
	found := map[segments.TopicID]int32{}
	for _, m := range g.order {
		for _, t := range g.topics.topics(m.names) {
			found[t.ID] = t.Partitions
		}
	}
	return found
}

// assignShares gives members of a share group their targets: each partition to a member, to the one
// that has it already if that has not more than its part; and each member without a partition
// another one's. So nobody is idle while there are fewer partitions than members.
func assignShares(members []*shareMember, topics *Catalog) {
	subscribed := map[segments.TopicID][]*shareMember{}
	var all []segments.Partition
	for _, m := range members {
		for _, t := range topics.topics(m.names) {
			if subscribed[t.ID] == nil {
				for i := range t.Partitions {
					all = append(all, segments.Partition{Topic: t.ID, Index: i})
				}
			}
			subscribed[t.ID] = append(subscribed[t.ID], m)
		}
	}
	slices.SortFunc(all, segments.Partition.Compare)
	had := map[segments.Partition]*shareMember{}
	for _, m := range members {
		for _, at := range m.target {
			if had[at] == nil && slices.Contains(subscribed[at.Topic], m) {
				had[at] = m
			}
		}
		m.target = nil
	}
	part := (len(all) + max(len(members), 1) - 1) / max(len(members), 1)
	var left []segments.Partition
	shared := make(map[segments.Partition]int, len(all))
	for _, at := range all {
		shared[at] = 1
		if m := had[at]; m != nil && len(m.target) < part {
			m.target = append(m.target, at)
		} else {
			left = append(left, at)
		}
	}
	for _, at := range left {
		m := slices.MinFunc(subscribed[at.Topic], func(a, b *shareMember) int { return len(a.target) - len(b.target) })
		m.target = append(m.target, at)
	}
	for _, m := range members {
		if len(m.target) > 0 {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(all), func(at segments.Partition) bool {
			return !slices.Contains(subscribed[at.Topic], m)
		})
		if len(mine) > 0 {
			at := slices.MinFunc(mine, func(a, b segments.Partition) int { return shared[a] - shared[b] })
			shared[at]++
			m.target = append(m.target, at)
		}
	}
	for _, m := range members {
		slices.SortFunc(m.target, segments.Partition.Compare)
	}
}

// agreements counts what changes of members, and of records without an acknowledgement.
func (g *ShareGroup) agreements() uint64 { return g.agreed }

// Idle says that there is nothing to remember that is not stored.
func (g *ShareGroup) Idle() bool { return len(g.members) == 0 && !g.holds() }

func (g *ShareGroup) holds() bool {
	for _, p := range g.Partitions {
		if p.held() {
			return true
		}
	}
	return false
}

// About how much memory a partition, and a run of its records, takes.
const (
	SharePartitionBytes = 160
	shareRunBytes       = 144 // with its lock, which names a member
)

func (g *ShareGroup) weight() (members, bytes int, generation int32) {
	bytes = g.sent + g.meant*partitionBytes + len(g.Partitions)*SharePartitionBytes
	for _, p := range g.Partitions {
		bytes += len(p.runs) * shareRunBytes
	}
	return len(g.members), bytes, g.epoch
}

// Deadline is when Tick has something to do, zero for never.
func (g *ShareGroup) Deadline() time.Time {
	first := g.wakes
	for _, m := range g.order {
		if first.IsZero() || m.heardBy.Before(first) {
			first = m.heardBy
		}
	}
	return first
}

// Announce notes that there may be something new for members to acquire.
func (g *ShareGroup) Announce() { g.freed++ }

// Crowds says that the group takes more memory than it may.
func (g *ShareGroup) Crowds() bool {
	_, bytes, _ := g.weight()
	return bytes > g.limits.GroupBytes
}

// Wake sees to it that tick is called when something can be given back.
func (g *ShareGroup) Wake(at time.Time) {
	if !at.IsZero() && (g.wakes.IsZero() || at.Before(g.wakes)) {
		g.wakes = at
	}
}

// Tick takes members out whose time is over, and gives records back whose time is.
func (g *ShareGroup) Tick(now time.Time) {
	removed := false
	for _, m := range slices.Clone(g.order) {
		if !now.Before(m.heardBy) {
			g.remove(m)
			removed = true
		}
	}
	if removed {
		g.advance()
	}
	if g.wakes.IsZero() || now.Before(g.wakes) {
		return
	}
	g.wakes = time.Time{}
	for _, p := range g.Partitions {
		if n := p.expire(now, &g.Rules); n > 0 {
			g.agreed++
			g.freed++
			g.lapsed += uint64(n)
		}
		g.Wake(p.deadline())
	}
}

func (g *ShareGroup) die() {
	*g = ShareGroup{limits: g.limits, session: g.session, topics: g.topics, freed: g.freed + 1}
}

// MayCommit refuses offsets: the group has none that anybody could commit.
func (g *ShareGroup) MayCommit(time.Time, Committer) *kerr.Error { return kerr.GroupIDNotFound }

// Subscriptions says of which topics a member is a subscriber.
func (g *ShareGroup) Subscriptions() func(topic string) bool {
	names := map[string]bool{}
	for _, m := range g.order {
		for _, name := range m.names {
			names[name] = true
		}
	}
	return func(topic string) bool { return names[topic] }
}

// shareProtocol is the protocol type of share groups, as Kafka's tools show it.
const shareProtocol = "share"

// Describe shows the members.
func (g *ShareGroup) Describe(d *Description) {
	d.Type, d.State, d.ProtocolType, d.Protocol, d.Epoch = Share, Empty, shareProtocol, "simple", g.epoch
	if len(g.members) > 0 {
		d.State = Stable
	}
	for _, m := range g.order {
		d.Members = append(d.Members, Member{ID: m.id, ClientID: m.clientID, ClientHost: m.clientHost, RackID: m.rack,
			Epoch: m.epoch, Topics: m.names, Has: slices.Clone(m.target), Target: slices.Clone(m.target)})
	}
}

// Take returns nothing: nobody waits for an answer of a share group.
func (g *ShareGroup) Take() []Reply { return nil }

// Abandon does nothing, for the same reason.
func (g *ShareGroup) Abandon(time.Time, Ticket) {}

// storedShare is a share group as it is stored. What is stored of its partitions is beside it.
type storedShare struct {
	Epoch   int32               `json:"epoch"`
	Members []storedShareMember `json:"members"`
}

type storedShareMember struct {
	ID         string       `json:"id"`
	Rack       string       `json:"rack,omitempty"`
	ClientID   string       `json:"clientId"`
	ClientHost string       `json:"clientHost"`
	Names      []string     `json:"names"`
	Epoch      int32        `json:"epoch"`
	Target     []storedHold `json:"target,omitempty"`
}

func (g *ShareGroup) export() *storedShare {
	stored := &storedShare{Epoch: g.epoch}
	for _, m := range g.order {
		s := storedShareMember{ID: m.id, Rack: m.rack, ClientID: m.clientID, ClientHost: m.clientHost, Names: m.names,
			Epoch: m.epoch}
		for _, p := range m.target {
			s.Target = append(s.Target, storedHold{Topic: p.Topic[:], Index: p.Index})
		}
		stored.Members = append(stored.Members, s)
	}
	return stored
}

func (g *ShareGroup) restore(now time.Time, from *storedShare) {
	g.epoch = from.Epoch
	targets := map[segments.Partition]bool{}
	for _, s := range from.Members {
		m := &shareMember{id: s.ID, rack: s.Rack, clientID: s.ClientID, clientHost: s.ClientHost, names: s.Names,
			epoch: s.Epoch, previous: s.Epoch, untold: true, heardBy: now.Add(g.session)}
		m.target = slices.SortedFunc(maps.Keys(restoreHolds(s.Target)), segments.Partition.Compare)
		g.members[m.id] = m
		g.order = append(g.order, m)
		g.sent += m.size()
		g.meant += len(m.target)
		for _, at := range m.target {
			targets[at] = true
		}
	}
	g.wanted = perTopic(targets) // not the catalog's: what came since then see finds
}
