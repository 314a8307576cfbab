package protocol

import (
	"maps"
	"slices"
	"strings"
	"time"

	"firn.dev/segments"
)

// advance begins an epoch of the group: somebody came or went, or there are other topics or
// subscriptions. It decides the target assignment; members get there with their next heartbeats.
func (g *consumerGroup) advance() {
	g.epoch++
	g.agreed++
	g.wanted = g.wants()
	g.assignor = g.vote()
	assignees := make([]*assignee, len(g.order))
	for i, m := range g.order {
		assignees[i] = &assignee{id: m.id, instance: m.instance, topics: g.subscribed(m), had: m.target}
	}
	assignors[g.assignor](assignees)
	g.meant = 0
	for i, m := range g.order {
		m.target = assignees[i].gets
		g.meant += len(m.target)
	}
}

// wants returns the topics that somebody is subscribed to, with how many partitions they have.
func (g *consumerGroup) wants() map[segments.TopicID]int32 {
	wanted := map[segments.TopicID]int32{}
	for _, m := range g.order {
		for _, t := range g.subscribed(m) {
			wanted[t.ID] = t.Partitions
		}
	}
	return wanted
}

// vote returns the assignor that most members ask for; of several the one whose name is the last:
// the default.
func (g *consumerGroup) vote() string {
	votes := map[string]int{}
	for _, m := range g.order {
		if m.assignor != "" {
			votes[m.assignor]++
		}
	}
	best := defaultAssignor
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if n := votes[name]; n > votes[best] {
			best = name
		}
	}
	return best
}

// see tells the group which topics there are.
func (g *consumerGroup) see(topics *Catalog) {
	if topics.version <= g.topics.version {
		return
	}
	g.topics = topics
	resolved := map[string][]string{}
	for _, m := range g.order {
		if m.regex == "" {
			continue
		}
		names, known := resolved[m.regex]
		if !known {
			names, _ = topics.match(m.regex) // it was checked when it came
			resolved[m.regex] = names
		}
		m.matched = g.described(names, m.regex, m.describes)
	}
	if !maps.Equal(g.wants(), g.wanted) {
		g.advance()
	}
}

// renew begins an epoch if the targets, which a former owner has set, are not of what members want.
func (g *consumerGroup) renew() {
	targets := map[segments.Partition]bool{}
	for _, m := range g.order {
		for _, at := range m.target {
			targets[at] = true
		}
	}
	if !maps.Equal(perTopic(targets), g.wanted) {
		g.advance()
	}
}

// perTopic is how many partitions there are of each topic.
func perTopic(partitions map[segments.Partition]bool) map[segments.TopicID]int32 {
	n := map[segments.TopicID]int32{}
	for at := range partitions {
		n[at.Topic]++
	}
	return n
}

// reconcile brings a member as far towards its target as it can go now, and says whether what it
// may read has changed. owned is what it says that it has; nil if it does not say.
//
// While it has not let go of what it was told to, it stays in its epoch. Then it reaches the
// group's, and gets those partitions of its target that nobody has.
func (g *consumerGroup) reconcile(now time.Time, m *consumer, owned []segments.Partition) (changed bool) {
	switch {
	case m.state == settled && m.epoch == g.epoch:
		return false
	case m.state == unrevoked && stillHas(m.revoking, owned):
		return false
	}
	epoch, state := m.epoch, m.state
	defer func() {
		if changed || m.epoch != epoch || m.state != state {
			g.agreed++
		}
	}()
	target := make(map[segments.Partition]bool, len(m.target))
	for _, at := range m.target {
		target[at] = true
	}
	keep, revoke := map[segments.Partition]int32{}, map[segments.Partition]int32{}
	for at, since := range m.assigned {
		if target[at] {
			keep[at] = since
		} else {
			revoke[at] = since
		}
	}
	changed = len(revoke) > 0
	if stillHas(revoke, owned) {
		g.own(m, keep, revoke)
		m.state, m.revokeBy = unrevoked, now.Add(m.rebalance)
		return changed
	}
	g.own(m, keep, nil)
	m.state, m.revokeBy = settled, time.Time{}
	for _, at := range m.target {
		if _, has := keep[at]; has {
			continue
		}
		if g.owners[at] != nil {
			m.state = unreleased
			continue
		}
		keep[at] = g.epoch
		g.owners[at] = m
		changed = true
	}
	if m.epoch != g.epoch {
		m.previous, m.epoch = m.epoch, g.epoch
	}
	return changed
}

// stillHas says whether a member may have one of these partitions: it names it among those that it
// has, or does not say.
func stillHas(some map[segments.Partition]int32, owned []segments.Partition) bool {
	if len(some) == 0 {
		return false
	}
	return owned == nil || slices.ContainsFunc(owned, func(at segments.Partition) bool { _, is := some[at]; return is })
}

// own changes what a member has. The maps are its own afterwards.
func (g *consumerGroup) own(m *consumer, assigned, revoking map[segments.Partition]int32) {
	if !maps.Equal(m.assigned, assigned) || !maps.Equal(m.revoking, revoking) {
		g.agreed++
	}
	for at := range m.assigned {
		delete(g.owners, at)
	}
	for at := range m.revoking {
		delete(g.owners, at)
	}
	m.assigned, m.revoking = assigned, revoking
	for at := range assigned {
		g.owners[at] = m
	}
	for at := range revoking {
		g.owners[at] = m
	}
}

// waits says whether a part of a member's target is still somebody else's.
func (g *consumerGroup) waits(m *consumer) bool {
	return m.state == unreleased && slices.ContainsFunc(m.target, func(at segments.Partition) bool {
		owner := g.owners[at]
		return owner != nil && owner != m
	})
}

// subscription is what a member wants to read.
type subscription struct {
	names   []string // ordered, each once
	regex   string
	matched []string

	resolved time.Time // when matched was found out
}

// differs says whether a member wants something else than before.
func (m *consumer) differs(s subscription) bool {
	return m.regex != s.regex || !slices.Equal(m.names, s.names)
}

// named returns names as a subscription has them. They are copies: the request's memory is not
// kept.
func named(names []string) []string {
	own := make([]string, len(names))
	for i, name := range names {
		own[i] = strings.Clone(name)
	}
	slices.Sort(own)
	return slices.Compact(own)
}
