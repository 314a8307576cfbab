package protocol

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// JoinRequest asks to become, or to stay, a member. Its byte slices belong to the group afterwards.
type JoinRequest struct {
	MemberID             string // empty: not a member yet
	InstanceID           string // of a static member; else empty
	ClientID, ClientHost string
	SessionTimeout       time.Duration
	RebalanceTimeout     time.Duration
	ProtocolType         string
	Protocols            []Protocol // best first

	AsksForID     bool // from version 4 on: a new member gets an id first, and joins with it then (KIP-394)
	SkipsAssigned bool // from version 9 on: a leader can be told that there is nothing to assign (KIP-814)

	Spare int64 // bytes that the node has left for all groups; groups.Manager fills it in
}

// JoinAnswer is the answer to a JoinRequest. Members is for the leader alone.
type JoinAnswer struct {
	Err            *kerr.Error
	MemberID       string
	Generation     int32 // -1 with an error
	ProtocolType   string
	Protocol       string
	Leader         string
	SkipAssignment bool
	Members        []JoinedMember
}

// JoinedMember is a member as the leader sees it.
type JoinedMember struct {
	MemberID, InstanceID string
	Metadata             []byte
}

// Join takes a member in, or lets one stay. newID is the id that a new member gets.
func (g *classicGroup) Join(now time.Time, r *JoinRequest, newID string, t Ticket) {
	refuse := func(err *kerr.Error) { g.answerJoin(t, JoinAnswer{Err: err, MemberID: r.MemberID, Generation: -1}) }
	m := g.members[r.MemberID]
	_, expected := g.expected[r.MemberID]
	switch {
	case g.state == Dead:
		refuse(kerr.CoordinatorNotAvailable)
	case !g.withinLimits(r, m, expected):
		refuse(kerr.GroupMaxSizeReached)
	case !g.supports(r):
		refuse(kerr.InconsistentGroupProtocol)
	case r.MemberID == "" && r.InstanceID != "" && g.instances[r.InstanceID] != "":
		g.replaceStatic(now, r, newID, t)
	case r.MemberID == "" && r.InstanceID == "" && r.AsksForID:
		g.expected[newID] = now.Add(r.SessionTimeout)
		g.answerJoin(t, JoinAnswer{Err: kerr.MemberIDRequired, MemberID: newID, Generation: -1})
	case r.MemberID == "":
		g.add(now, r, newID, t)
	case expected && r.InstanceID == "":
		delete(g.expected, r.MemberID)
		g.add(now, r, r.MemberID, t)
	default:
		if m, err := g.known(Identity{r.MemberID, r.InstanceID}); err != nil {
			refuse(err)
		} else {
			g.rejoin(now, m, r, t)
		}
	}
}

// withinLimits holds the limits. Those who are members already, or are expected, only must not grow
// beyond their share.
func (g *classicGroup) withinLimits(r *JoinRequest, m *member, expected bool) bool {
	known := m != nil || expected || r.InstanceID != "" && g.instances[r.InstanceID] != ""
	if !known && len(g.members)+len(g.expected) >= g.limits.MaxMembers {
		return false
	}
	sent := protocolBytes(r.Protocols)
	before := 0
	if m != nil {
		before = protocolBytes(m.protocols)
	}
	if m != nil && sent <= before {
		return true // members that are in are not to suffer from others
	}
	return sent <= g.limits.MemberBytes && g.bytes-before+sent <= g.limits.GroupBytes &&
		int64(memberOverhead+sent-before) <= r.Spare
}

// supports says whether the joiner and all members have a protocol in common.
func (g *classicGroup) supports(r *JoinRequest) bool {
	if r.ProtocolType == "" || len(r.Protocols) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	return r.ProtocolType == g.protocolType && slices.ContainsFunc(r.Protocols,
		func(p Protocol) bool { return g.common(p.Name) })
}

// common says whether all members support a protocol.
func (g *classicGroup) common(protocol string) bool {
	return !slices.ContainsFunc(g.order, func(m *member) bool {
		return !slices.ContainsFunc(m.protocols, func(p Protocol) bool { return p.Name == protocol })
	})
}

// metadata returns what the member says with a protocol.
func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// add takes a new member in, which brings a rebalance about.
func (g *classicGroup) add(now time.Time, r *JoinRequest, id string, t Ticket) {
	m := &member{id: id, instance: r.InstanceID, join: t, fresh: true, nameless: r.MemberID == "" && r.InstanceID == ""}
	m.update(r)
	m.heardBy = now.Add(max(freshTimeout, r.SessionTimeout))
	if len(g.members) == 0 {
		g.protocolType = r.ProtocolType
	}
	g.admit(m)
	if g.leader == "" {
		g.leader = id
	}
	g.grown = true
	g.rebalance(now)
}

// update takes over what a Join says of its member.
func (m *member) update(r *JoinRequest) {
	m.clientID, m.clientHost = r.ClientID, r.ClientHost
	m.session, m.rebalance = r.SessionTimeout, r.RebalanceTimeout
	m.protocols = r.Protocols
}

// rejoin answers a member that joins again: at once if nothing has changed for it, else after a
// rebalance.
func (g *classicGroup) rejoin(now time.Time, m *member, r *JoinRequest, t Ticket) {
	same := slices.EqualFunc(m.protocols, r.Protocols, func(a, b Protocol) bool {
		return a.Name == b.Name &&
			bytes.Equal(a.Metadata, b.Metadata)
	})
	switch {
	case g.state == CompletingRebalance && same: // the answer before was lost
		m.heard(now)
		g.answerJoin(t, g.joined(m))
	case g.state == Stable && same && g.leader != m.id:
		m.heard(now)
		g.answerJoin(t, g.joined(m))
	default:
		g.renew(now, m, r, t)
		g.rebalance(now)
	}
}

// renew makes a member wait for the answer to a further Join.
func (g *classicGroup) renew(now time.Time, m *member, r *JoinRequest, t Ticket) {
	// nobody else may wait for it
	g.answerJoin(m.join, JoinAnswer{Err: kerr.RebalanceInProgress, MemberID: m.id, Generation: -1})
	g.bytes -= m.size()
	m.update(r)
	g.bytes += m.size()
	m.join = t
	m.heard(now)
}

// replaceStatic lets a static member that has been started again have the place of its former self.
// If nothing else changes there is no rebalance.
func (g *classicGroup) replaceStatic(now time.Time, r *JoinRequest, newID string, t Ticket) {
	m := g.members[g.instances[r.InstanceID]]
	leaderBefore, oldID := g.leader, m.id
	g.answerJoin(m.join, JoinAnswer{Err: kerr.FencedInstanceID, MemberID: oldID, Generation: -1})
	g.answerSync(m.sync, SyncAnswer{Err: kerr.FencedInstanceID})
	m.join, m.sync = 0, 0
	delete(g.members, oldID)
	g.bytes += len(newID) - len(oldID)
	m.id = newID
	g.members[newID] = m
	g.instances[m.instance] = newID
	if leaderBefore == oldID {
		g.leader = newID
	}
	g.renew(now, m, r, t)
	if g.state != Stable || g.vote() != g.protocol {
		g.rebalance(now)
		return
	}
	m.join, m.synced = 0, true
	g.agreed++
	a := g.joined(m)
	a.Members = nil
	switch {
	case !r.SkipsAssigned:
		a.Leader = leaderBefore // so that it does not take itself for the leader, who would have to assign
	case g.leader == newID:
		a.SkipAssignment, a.Members = true, g.joinedMembers()
	}
	g.answerJoin(t, a)
}

// joined is the answer for a member of the current generation.
func (g *classicGroup) joined(m *member) JoinAnswer {
	a := JoinAnswer{MemberID: m.id, Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol,
		Leader: g.leader}
	if g.leader == m.id {
		a.Members = g.joinedMembers()
	}
	return a
}

func (g *classicGroup) joinedMembers() []JoinedMember {
	members := make([]JoinedMember, len(g.order))
	for i, m := range g.order {
		members[i] = JoinedMember{m.id, m.instance, m.metadata(g.protocol)}
	}
	return members
}
