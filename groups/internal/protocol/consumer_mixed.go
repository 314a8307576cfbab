package protocol

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A group of the new protocol can have members of the classic one, while it has at least one of the
// new: so that a group can be upgraded member by member, as Kafka does it. To the group they are
// members like all others. Their protocol's calls are answered so that they do what the new
// protocol asks for: a heartbeat tells them to join again when there is something to give up or to
// get, a Join says what they have, and a Sync, answered at once, what they may read. They never
// lead.

// classicSide is what only members of the classic protocol have.
type classicSide struct {
	session   time.Duration
	protocols []Protocol // best first; consumers say the same in all of them
	version   int16      // of what they say in them
	joinBy    time.Time  // when the member is out if it has not joined again; zero: it need not
	syncBy    time.Time  // and if it has not asked for its assignment
}

// Join takes in a member of the classic protocol, or lets one stay.
func (g *consumerGroup) Join(now time.Time, r *JoinRequest, newID string, t Ticket) {
	a := g.joined(now, r, newID)
	if a.Err != nil {
		a.Generation = -1
		if a.MemberID == "" {
			a.MemberID = r.MemberID
		}
	}
	g.replies = append(g.replies, Reply{Ticket: t, Join: &a})
}

func (g *consumerGroup) joined(now time.Time, r *JoinRequest, newID string) JoinAnswer {
	m, err := g.classicVisitor(r)
	if err != nil {
		return JoinAnswer{Err: err}
	}
	if !g.supports(m, r) {
		return JoinAnswer{Err: kerr.InconsistentGroupProtocol}
	}
	if r.MemberID == "" && r.InstanceID == "" && r.AsksForID {
		g.expected[newID] = now.Add(r.SessionTimeout)
		return JoinAnswer{Err: kerr.MemberIDRequired, MemberID: newID}
	}
	said, ok := readSubscription(r.Protocols[0].Metadata)
	if !ok {
		return JoinAnswer{Err: kerr.InconsistentGroupProtocol}
	}
	wants := subscription{names: named(said.topics)}
	if err := g.checkClassicLimits(m, r, wants); err != nil {
		return JoinAnswer{Err: err}
	}
	id := r.MemberID
	if id == "" {
		id = newID
	}
	delete(g.expected, id)
	isNew := m == nil
	switch {
	case isNew:
		m = &consumer{id: id, instance: r.InstanceID}
		g.add(m)
	case m.id != id:
		g.rename(m, id)
	}
	if m.renewClassic(g, r, &said, wants) || isNew {
		g.advance()
	}
	g.reconcile(now, m, g.topics.partitions(said.owned))
	m.revokeBy = time.Time{}
	m.heardBy = now.Add(m.classic.session)
	m.classic.joinBy, m.classic.syncBy = time.Time{}, now.Add(m.rebalance)
	return JoinAnswer{MemberID: m.id, Generation: m.epoch, ProtocolType: consumerProtocol,
		Protocol: m.classic.protocols[0].Name}
}

// classicVisitor returns the member that a Join comes from, nil for one that is to be, or why it is
// refused.
func (g *consumerGroup) classicVisitor(r *JoinRequest) (*consumer, *kerr.Error) {
	var m *consumer
	switch {
	case r.InstanceID == "":
		m = g.members[r.MemberID]
	case r.MemberID == "":
		m = g.instances[r.InstanceID]
	default:
		return g.known(Identity{r.MemberID, r.InstanceID})
	}
	_, expected := g.expected[r.MemberID]
	switch {
	case m != nil || expected:
		return m, nil
	case r.MemberID != "": // it was taken out meanwhile, and has to know that what it had is another's
		return nil, kerr.UnknownMemberID
	case len(g.members)+len(g.expected) >= g.limits.MaxMembers:
		return nil, kerr.GroupMaxSizeReached
	}
	return nil, nil
}

// supports says whether all members of the classic protocol have a way of assigning in common with
// the joiner: they would need it if they were alone.
func (g *consumerGroup) supports(m *consumer, r *JoinRequest) bool {
	return r.ProtocolType == consumerProtocol && slices.ContainsFunc(r.Protocols, func(p Protocol) bool {
		return !slices.ContainsFunc(g.order, func(other *consumer) bool {
			return other != m && other.classic != nil && !slices.ContainsFunc(other.classic.protocols,
				func(q Protocol) bool { return q.Name == p.Name })
		})
	})
}

// checkClassicLimits holds the limits for a member of the classic protocol.
func (g *consumerGroup) checkClassicLimits(m *consumer, r *JoinRequest, wants subscription) *kerr.Error {
	sent, before := protocolBytes(r.Protocols), 0
	if m != nil && m.classic != nil {
		before = protocolBytes(m.classic.protocols)
	}
	_, bytes, _ := g.weight()
	if sent > before && (sent > g.limits.MemberBytes || bytes+sent-before > g.limits.GroupBytes ||
		int64(sent-before) > r.Spare) {
		return kerr.GroupMaxSizeReached
	}
	if m != nil && !m.differs(wants) {
		return nil
	}
	if g.checkLimits(m, wants, r.Spare) != nil {
		return kerr.GroupMaxSizeReached
	}
	return nil
}

// renewClassic takes over what a Join says, and says whether the member wants to read something
// else than before.
func (m *consumer) renewClassic(g *consumerGroup, r *JoinRequest, said *embeddedSubscription, wants subscription) bool {
	g.sent -= m.size()
	defer func() { g.sent += m.size() }()
	differs := m.differs(wants)
	m.names, m.regex, m.matched, m.assignor, m.describes = wants.names, "", nil, "", nil
	m.clientID, m.clientHost, m.rack = r.ClientID, r.ClientHost, said.rack
	m.rebalance = r.RebalanceTimeout
	m.classic = &classicSide{session: r.SessionTimeout, protocols: r.Protocols, version: said.version}
	return differs
}

// classicMember returns the member of the classic protocol that a request comes from.
func (g *consumerGroup) classicMember(w Identity, generation int32) (*consumer, *kerr.Error) {
	m, err := g.known(w)
	switch {
	case err != nil:
		return nil, err
	case m.classic == nil:
		return nil, kerr.UnknownMemberID
	case m.epoch != generation:
		return nil, kerr.IllegalGeneration
	}
	return m, nil
}

// Sync tells a member what it may read. It is answered at once: the assignment is the server's.
func (g *consumerGroup) Sync(now time.Time, r *SyncRequest, t Ticket) {
	m, err := g.classicMember(Identity{r.MemberID, r.InstanceID}, r.Generation)
	a := SyncAnswer{Err: err}
	switch {
	case err != nil:
	case r.ProtocolType != nil && *r.ProtocolType != consumerProtocol || r.Protocol != nil &&
		*r.Protocol != m.classic.protocols[0].Name:
		a.Err = kerr.InconsistentGroupProtocol
	case m.epoch != g.epoch && m.state != unrevoked:
		g.recall(now, m)
		a.Err = kerr.RebalanceInProgress
	default:
		m.classic.syncBy = time.Time{}
		m.heardBy = now.Add(m.classic.session)
		a.ProtocolType, a.Protocol = consumerProtocol, m.classic.protocols[0].Name
		a.Assignment = appendAssignment(nil, m.classic.version, m.assigned, g.topics)
	}
	g.replies = append(g.replies, Reply{Ticket: t, Sync: &a})
}

// Heartbeat says that a member is alive, and tells it whether it has to join again: to get to the
// group's epoch, to say that it let go, or to get what others have let go of.
func (g *consumerGroup) Heartbeat(now time.Time, w Identity, generation int32) *kerr.Error {
	m, err := g.classicMember(w, generation)
	if err != nil {
		return err
	}
	m.heardBy = now.Add(m.classic.session)
	if m.epoch != g.epoch || m.state == unrevoked || m.state == unreleased && !g.waits(m) {
		g.recall(now, m)
		return kerr.RebalanceInProgress
	}
	return nil
}

// recall gives a member until its rebalance timeout to join again.
func (g *consumerGroup) recall(now time.Time, m *consumer) {
	if m.classic.joinBy.IsZero() {
		m.classic.joinBy = now.Add(m.rebalance)
	}
}

// Leave takes a member of the classic protocol out.
func (g *consumerGroup) Leave(_ time.Time, w Identity) *kerr.Error {
	if m := g.instances[w.Instance]; w.Member == "" && m != nil {
		w.Member = m.id
	}
	if _, expected := g.expected[w.Member]; expected && w.Instance == "" {
		delete(g.expected, w.Member)
		return nil
	}
	m, err := g.known(w)
	if err != nil {
		return err
	}
	if m.classic == nil {
		return kerr.UnknownMemberID
	}
	g.remove(m)
	g.advance()
	return nil
}
