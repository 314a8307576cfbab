package protocol

import (
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/segments"
)

// A group becomes one of the new protocol when its first member of that joins, and one of the
// classic protocol again when the last of them is gone and others are left: Kafka's
// group.consumer.migration.policy=bidirectional. Its members notice nothing but a rebalance.

// ConsumerHeartbeat takes in a heartbeat of a member of the new protocol, for which the group
// becomes what it has to be. newID is the id of a member that brings none.
func (g *Group) ConsumerHeartbeat(now time.Time, r *ConsumerHeartbeat, newID string,
	topics *Catalog) ConsumerAnswer {
	if g.Dead {
		return ConsumerAnswer{Err: kerr.NotCoordinator}
	}
	members, ok := g.kind.(*consumerGroup)
	if !ok {
		if !r.Joins() {
			return ConsumerAnswer{Err: kerr.UnknownMemberID} // it has been taken out meanwhile
		}
		members = newConsumerGroup(g.opts, topics)
		if err := members.succeed(now, g); err != nil {
			return ConsumerAnswer{Err: err}
		}
	}
	a := members.consumerHeartbeat(now, r, newID)
	if a.Err == nil && !ok { // a member that is refused changes nothing
		if before, classic := g.kind.(*classicGroup); classic {
			before.dismiss()
			members.replies = before.Take()
		}
		g.kind = members
	}
	return a
}

// succeed takes over the members of a group that is of another kind so far, and stays as it is.
func (g *consumerGroup) succeed(now time.Time, before *Group) *kerr.Error {
	if before.IsShare() {
		return Refusal(kerr.GroupIDNotFound, "The group is a share group.")
	}
	if before.Vacant() {
		return nil
	}
	if members, classic := before.kind.(*classicGroup); classic {
		return g.inherit(now, members)
	}
	return kerr.InconsistentGroupProtocol
}

// Settle lets a group of the new protocol that only has members of the classic one left become one
// of theirs.
func (g *Group) Settle(now time.Time) {
	members, ok := g.kind.(*consumerGroup)
	if !ok || len(members.order) == 0 {
		return
	}
	for _, m := range members.order {
		if m.classic == nil {
			return
		}
	}
	next := g.fresh()
	next.inherit(now, members)
	g.kind = next
}

// inherit takes over the members of a classic group, which stays as it is.
func (g *consumerGroup) inherit(now time.Time, from *classicGroup) *kerr.Error {
	refuse := func(why string) *kerr.Error {
		return Refusal(kerr.GroupIDNotFound, "Cannot upgrade the classic group to a consumer group: %s.", why)
	}
	if len(from.order) > 0 && from.protocolType != consumerProtocol {
		return refuse("its members are not consumers")
	}
	g.epoch, g.expected = from.generation, maps.Clone(from.expected)
	for _, m := range from.order {
		if m.nameless {
			continue // it will come again as another
		}
		metadata := m.metadata(from.protocol)
		if metadata == nil {
			metadata = m.protocols[0].Metadata
		}
		said, readable := readSubscription(metadata)
		topics, userData, assignmentReadable := readAssignment(m.assignment)
		switch {
		case !readable || !assignmentReadable:
			return refuse("the embedded consumer protocol is malformed")
		case userData:
			return refuse("an assignor is in use that puts data of its own into assignments")
		}
		g.takeOver(now, m, &said, topics)
	}
	g.wanted = g.wants()
	return nil
}

// dismiss tells those who wait for an answer to join again.
func (g *classicGroup) dismiss() {
	for _, m := range g.order {
		g.answerJoin(m.join, JoinAnswer{Err: kerr.RebalanceInProgress, MemberID: m.id, Generation: -1})
		g.answerSync(m.sync, SyncAnswer{Err: kerr.RebalanceInProgress})
		m.join, m.sync = 0, 0
	}
}

// takeOver makes a member of a classic group one of this group. The member may still be reading
// partitions that it said it has and that are not assigned to it now.
func (g *consumerGroup) takeOver(now time.Time, m *member, said *embeddedSubscription, assigned []embeddedTopic) {
	epoch := g.epoch
	if m.knows != 0 {
		epoch = m.knows // it has not joined since the group was one of the new protocol before
	}
	c := &consumer{id: m.id, instance: m.instance, clientID: m.clientID, clientHost: m.clientHost, rack: said.rack,
		rebalance: m.rebalance, names: named(said.topics),
		epoch: epoch, previous: epoch, heardBy: now.Add(m.session),
		classic: &classicSide{session: m.session, protocols: m.protocols, version: said.version}}
	free := func(topics []embeddedTopic) map[segments.Partition]int32 {
		some := map[segments.Partition]int32{}
		for _, at := range g.topics.partitions(topics) {
			if g.owners[at] == nil {
				some[at] = epoch
				g.owners[at] = c
			}
		}
		return some
	}
	c.assigned = free(assigned)
	if c.revoking = free(said.owned); len(c.revoking) > 0 {
		c.state = unrevoked
	}
	for at := range c.assigned {
		c.target = append(c.target, at)
	}
	g.meant += len(c.target)
	g.add(c)
}

// inherit takes over the members of a group of the new protocol, who are all of the classic one,
// and has them join again.
func (g *classicGroup) inherit(now time.Time, from *consumerGroup) {
	g.generation, g.protocolType, g.expected = from.epoch, consumerProtocol, from.expected
	for _, c := range from.order {
		m := &member{id: c.id, instance: c.instance, clientID: c.clientID, clientHost: c.clientHost,
			session: c.classic.session, rebalance: c.rebalance,
			protocols: c.classic.protocols, assignment: appendAssignment(nil, c.classic.version, c.assigned, from.topics),
			synced: true, knows: c.epoch}
		m.heard(now)
		g.admit(m)
	}
	g.leader = g.order[0].id
	g.protocol = g.vote()
	g.state = Stable
	g.replies = from.Take()
	g.rebalance(now)
}
