package protocol

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// rebalance begins a rebalance because something has changed, or ends the one that is under way if
// all members have joined.
func (g *classicGroup) rebalance(now time.Time) {
	switch g.state {
	case Dead:
	case PreparingRebalance:
		g.completeIfAllJoined(now)
	default:
		g.prepare(now)
	}
}

// prepare begins a rebalance: members learn of it by their next heartbeat, and join again. The
// first of an empty group waits a moment for those who come together.
func (g *classicGroup) prepare(now time.Time) {
	for _, m := range g.order {
		g.answerSync(m.sync, SyncAnswer{Err: kerr.RebalanceInProgress})
		if m.sync != 0 {
			m.sync = 0
			m.heard(now)
		}
	}
	g.syncBy = time.Time{}
	g.initial = g.state == Empty && g.delay > 0
	g.state = PreparingRebalance
	longest := g.longestRebalance()
	if g.initial {
		wait := min(g.delay, longest)
		g.joinBy, g.moreTime, g.grown = now.Add(wait), longest-wait, false
		return
	}
	g.joinBy = now.Add(longest)
	g.completeIfAllJoined(now)
}

// putOff gives the first rebalance more time, because somebody has just joined.
func (g *classicGroup) putOff(now time.Time) {
	wait := min(g.delay, g.moreTime)
	g.joinBy, g.moreTime, g.grown = now.Add(wait), g.moreTime-wait, false
}

func (g *classicGroup) completeIfAllJoined(now time.Time) {
	if g.state != PreparingRebalance || g.initial || len(g.expected) > 0 {
		return
	}
	if !slices.ContainsFunc(g.order, func(m *member) bool { return m.join == 0 }) {
		g.complete(now)
	}
}

// complete begins the next generation with those who have joined. Of the others only static members
// stay, until their session times out.
func (g *classicGroup) complete(now time.Time) {
	for _, m := range slices.Clone(g.order) {
		if m.join == 0 && m.instance == "" {
			g.remove(m)
		}
	}
	g.joinBy, g.initial = time.Time{}, false
	if len(g.order) == 0 {
		g.state, g.protocol, g.leader = Empty, "", ""
		g.generation++
		g.agreed++
		return
	}
	if !g.elect() { // only static members, and none has come back
		g.joinBy = now.Add(g.longestRebalance())
		return
	}
	g.generation++
	g.protocol = g.vote()
	g.state = CompletingRebalance
	g.syncBy = now.Add(g.longestRebalance())
	for _, m := range g.order {
		m.synced, m.fresh, m.nameless, m.knows = false, false, false, 0
		if m.join != 0 {
			m.heard(now)
			g.answerJoin(m.join, g.joined(m))
			m.join = 0
		}
	}
}

// elect sees to it that the leader is one who waits for the answer.
func (g *classicGroup) elect() bool {
	if l := g.members[g.leader]; l != nil && l.join != 0 {
		return true
	}
	for _, m := range g.order {
		if m.join != 0 {
			g.leader = m.id
			return true
		}
	}
	return false
}

// vote returns the protocol that most members prefer among those that all support; of several the
// one that the leader likes best.
func (g *classicGroup) vote() string {
	votes := map[string]int{}
	for _, m := range g.order {
		for _, p := range m.protocols {
			if g.common(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, p := range g.members[g.leader].protocols {
		if votes[p.Name] > votes[best] {
			best = p.Name
		}
	}
	return best
}

// dropUnsynced takes out members that joined and then did not ask for their assignment.
func (g *classicGroup) dropUnsynced(now time.Time) {
	g.syncBy = time.Time{}
	dropped := false
	for _, m := range slices.Clone(g.order) {
		if !m.synced {
			g.remove(m)
			dropped = true
		}
	}
	if dropped {
		g.rebalance(now)
	}
}

// SyncRequest asks for the member's assignment; the leader brings those of all.
type SyncRequest struct {
	MemberID, InstanceID string
	Generation           int32
	ProtocolType         *string // from version 5 on: have to be the group's
	Protocol             *string
	Assignments          map[string][]byte // of the leader, by member id
}

// SyncAnswer is the answer to a SyncRequest.
type SyncAnswer struct {
	Err          *kerr.Error
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// Sync answers once the leader has brought the assignment.
func (g *classicGroup) Sync(now time.Time, r *SyncRequest, t Ticket) {
	m, err := g.current(Identity{r.MemberID, r.InstanceID}, r.Generation)
	switch {
	case err != nil:
	case r.ProtocolType != nil && *r.ProtocolType != g.protocolType || r.Protocol != nil && *r.Protocol != g.protocol:
		err = kerr.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		g.answerSync(t, SyncAnswer{Err: err})
		return
	}
	g.answerSync(m.sync, SyncAnswer{Err: kerr.RebalanceInProgress}) // nobody else may wait for it
	m.synced, m.sync = true, 0
	m.heard(now)
	if g.state == Stable {
		g.answerSync(t, g.synced(m))
		g.stopWaitingForSyncs()
		return
	}
	m.sync = t
	if m.id != g.leader {
		return
	}
	g.state = Stable
	g.agreed++
	for _, m := range g.order {
		g.assign(m, r.Assignments[m.id])
		if m.sync != 0 {
			g.answerSync(m.sync, g.synced(m))
			m.sync = 0
			m.heard(now)
		}
	}
	g.stopWaitingForSyncs()
}

func (g *classicGroup) stopWaitingForSyncs() {
	if !slices.ContainsFunc(g.order, func(m *member) bool { return !m.synced }) {
		g.syncBy = time.Time{}
	}
}

func (g *classicGroup) assign(m *member, assignment []byte) {
	g.bytes += len(assignment) - len(m.assignment)
	m.assignment = assignment
}

func (g *classicGroup) synced(m *member) SyncAnswer {
	return SyncAnswer{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
}
