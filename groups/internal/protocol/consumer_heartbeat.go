package protocol

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/segments"
)

// ConsumerHeartbeat is what a member of the new protocol says: that it is alive, and whatever has
// changed. Fields that are nil, or -1, have not changed.
type ConsumerHeartbeat struct {
	MemberID             string
	Epoch                int32 // 0 to join, -1 to leave, -2 to leave and come back as the same static member
	InstanceID, RackID   *string
	ClientID, ClientHost string
	RebalanceTimeout     time.Duration // negative: as it was
	Names                []string      // of topics
	Regex                *string       // that names of topics match as a whole
	Assignor             *string
	// Describes says which topics the member may know of; nil: of all. It answers from memory, and is
	// asked later too, until the next heartbeat.
	Describes func(topic string) bool
	Owned     []segments.Partition // that it has

	// groups.Manager fills these in:

	Spare   int64         // bytes that the node has left for all groups
	Session time.Duration // of the group's members from now on; 0: as it was
}

// ConsumerAnswer is the answer to a ConsumerHeartbeat.
type ConsumerAnswer struct {
	Err      *kerr.Error
	MemberID string
	Epoch    int32
	Interval time.Duration // until the next heartbeat
	Assigned []segments.Partition
	Assigns  bool // Assigned is what the member may read from now on; otherwise that is as it was
}

// Joins says whether the heartbeat asks to become a member, or to be one again.
func (r *ConsumerHeartbeat) Joins() bool { return r.Epoch == 0 }

// leaves says whether it is the member's last.
func (r *ConsumerHeartbeat) leaves() bool { return r.Epoch == leaving || r.Epoch == away }

// full says whether the heartbeat says everything: the member may not know the answer to an earlier
// one.
func (r *ConsumerHeartbeat) full() bool {
	return r.RebalanceTimeout >= 0 && (r.Names != nil || r.Regex != nil) && r.Owned != nil
}

// Refusal is an error with words of its own.
func Refusal(err *kerr.Error, format string, args ...any) *kerr.Error {
	own := *err
	own.Description = fmt.Sprintf(format, args...)
	return &own
}

// Validate refuses what no group could take.
func (r *ConsumerHeartbeat) Validate() *kerr.Error {
	invalid := func(why string) *kerr.Error { return Refusal(kerr.InvalidRequest, "%s", why) }
	switch {
	case r.Epoch < away:
		return invalid("MemberEpoch is invalid.")
	case r.MemberID == "" && !r.Joins():
		return invalid("MemberId can't be empty.")
	case r.InstanceID != nil && *r.InstanceID == "":
		return invalid("InstanceId can't be empty.")
	case r.RackID != nil && *r.RackID == "":
		return invalid("RackId can't be empty.")
	case r.Epoch == away && r.InstanceID == nil:
		return invalid("InstanceId can't be null.")
	case r.Joins() && r.RebalanceTimeout < 0:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case r.Joins() && (r.Owned == nil || len(r.Owned) > 0):
		return invalid("TopicPartitions must be empty when (re-)joining.")
	case r.Joins() && r.Names == nil && r.Regex == nil:
		return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	}
	if r.Assignor != nil && assignors[*r.Assignor] == nil {
		return Refusal(kerr.UnsupportedAssignor, "ServerAssignor %q is not supported. Supported assignors: uniform, range.",
			*r.Assignor)
	}
	return nil
}

// consumerHeartbeat takes in a heartbeat of a member of the new protocol. newID is the id of one
// that brings none.
func (g *consumerGroup) consumerHeartbeat(now time.Time, r *ConsumerHeartbeat, newID string) ConsumerAnswer {
	if r.leaves() {
		return g.leaves(r)
	}
	g.session = cmp.Or(r.Session, g.session)
	m, err := g.visitor(r)
	if err != nil {
		return ConsumerAnswer{Err: err}
	}
	wants, err := g.wish(now, m, r)
	if err != nil {
		return ConsumerAnswer{Err: err}
	}
	id := r.MemberID
	if id == "" {
		id = newID
	}
	isNew := m == nil
	switch {
	case isNew:
		m = &consumer{id: strings.Clone(id)}
		if r.InstanceID != nil {
			m.instance = strings.Clone(*r.InstanceID)
		}
		g.add(m)
	case m.id != id:
		g.rename(m, strings.Clone(id))
	}
	if m.renew(g, r, wants) || isNew {
		g.advance()
	}
	m.heardBy = now.Add(g.session)
	changed := g.reconcile(now, m, r.Owned)
	a := ConsumerAnswer{MemberID: m.id, Epoch: m.epoch}
	if changed || r.Joins() || r.full() {
		a.Assigns = true
		for at := range m.assigned {
			a.Assigned = append(a.Assigned, at)
		}
	}
	return a
}

// visitor returns the member that a heartbeat comes from, nil for one that is to be, or why it is
// refused.
func (g *consumerGroup) visitor(r *ConsumerHeartbeat) (*consumer, *kerr.Error) {
	if !r.Joins() {
		w := Identity{Member: r.MemberID}
		if r.InstanceID != nil {
			w.Instance = *r.InstanceID
		}
		m, err := g.known(w)
		if err != nil {
			return nil, err
		}
		return m, m.fences(r)
	}
	m := g.members[r.MemberID]
	if r.InstanceID != nil {
		before := g.instances[*r.InstanceID]
		if m != nil && m != before {
			return nil, Refusal(kerr.InvalidRequest, "Member %s has another instance id.", r.MemberID)
		}
		if before != nil && before.id != r.MemberID && before.epoch != away && before.classic == nil {
			return nil, Refusal(kerr.UnreleasedInstanceID,
				"Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.",
				r.MemberID, *r.InstanceID, before.id)
		}
		m = before
	}
	if m == nil && len(g.members)+len(g.expected) >= g.limits.MaxMembers {
		return nil, Refusal(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.",
			g.limits.MaxMembers)
	}
	return m, nil
}

// fences refuses epochs that are not the member's. The one before is taken from a member that may
// not have heard of its new one, if it has nothing that it may not have.
func (m *consumer) fences(r *ConsumerHeartbeat) *kerr.Error {
	switch {
	case r.Epoch == m.epoch && m.classic == nil:
		return nil
	case r.Epoch == m.previous && r.Epoch < m.epoch && m.hasAll(r.Owned):
		return nil
	}
	return Refusal(kerr.FencedMemberEpoch,
		"The member's epoch is %d and not %d. The member must abandon all its partitions and rejoin.", m.epoch, r.Epoch)
}

// hasAll says whether these partitions are the member's. Of nil it is not known.
func (m *consumer) hasAll(owned []segments.Partition) bool {
	for _, at := range owned {
		if _, has := m.assigned[at]; !has {
			return false
		}
	}
	return owned != nil
}

// wish returns what a member, nil for a new one, wants to read after a heartbeat, or why it is
// refused.
func (g *consumerGroup) wish(now time.Time, m *consumer, r *ConsumerHeartbeat) (s subscription, err *kerr.Error) {
	if m != nil {
		s = subscription{m.names, m.regex, m.matched, m.resolved}
		if m.classic != nil {
			s = subscription{names: m.names}
		}
	}
	if r.Names != nil {
		s.names = named(r.Names)
	}
	if r.Regex != nil && *r.Regex != s.regex {
		s.regex, s.matched, s.resolved = strings.Clone(*r.Regex), nil, time.Time{}
	}
	if limited := r.Describes != nil || m != nil && m.describes != nil; s.regex != "" &&
		(s.resolved.IsZero() || limited && now.Sub(s.resolved) >= regexRefresh) {
		if s.matched, err = g.match(s.regex, r.Describes); err != nil {
			return s, err
		}
		s.resolved = now
	}
	if m != nil && !m.differs(s) {
		return s, nil
	}
	return s, g.checkLimits(m, s, r.Spare)
}

// regexRefresh is how old what a regular expression matches may be where members may not know of
// all topics: other permissions are seen so late. Kafka looks every ten minutes.
const regexRefresh = time.Minute

// match returns what a regular expression matches of the topics that a member may know of.
func (g *consumerGroup) match(regex string, describes func(topic string) bool) ([]string, *kerr.Error) {
	for _, m := range g.order {
		if m.regex == regex && m.describes == nil && describes == nil {
			return m.matched, nil
		}
	}
	names, err := g.topics.match(regex)
	return g.described(names, regex, describes), err
}

// described returns those names that a member may know of, of all that its expression matches.
// Members that know of the same share one list.
func (g *consumerGroup) described(names []string, regex string, describes func(topic string) bool) (known []string) {
	if describes == nil {
		return names
	}
	for _, name := range names {
		if describes(name) {
			known = append(known, name)
		}
	}
	for _, m := range g.order {
		if m.regex == regex && slices.Equal(m.matched, known) {
			return m.matched
		}
	}
	return known
}

// checkLimits holds the limits for a member, nil for a new one, with a subscription. A member that
// does not grow is let through: those that are in must not suffer from others.
func (g *consumerGroup) checkLimits(m *consumer, s subscription, spare int64) *kerr.Error {
	next := consumer{names: s.names, regex: s.regex}
	grows, sends := next.size(), next.size()-memberOverhead
	if m != nil {
		before := consumer{names: m.names, regex: m.regex}
		grows -= before.size()
	}
	for _, t := range g.topics.topics(s.names, s.matched) {
		if _, counted := g.wanted[t.ID]; !counted {
			grows += int(t.Partitions) * partitionBytes
		}
	}
	_, bytes, _ := g.weight()
	if grows > 0 && (sends > g.limits.MemberBytes || bytes+grows > g.limits.GroupBytes || int64(grows) > spare) {
		return Refusal(kerr.GroupMaxSizeReached,
			"The member's subscription is too large, or the group, or all groups together.")
	}
	return nil
}

// renew takes over what a heartbeat says, and says whether the member wants to read something else
// than before.
func (m *consumer) renew(g *consumerGroup, r *ConsumerHeartbeat, wants subscription) bool {
	g.sent -= m.size()
	defer func() { g.sent += m.size() }()
	differs := m.differs(wants) || !slices.Equal(m.matched, wants.matched)
	m.names, m.regex, m.matched, m.resolved = wants.names, wants.regex, wants.matched, wants.resolved
	m.describes = r.Describes
	m.clientID, m.clientHost = r.ClientID, r.ClientHost
	m.classic = nil
	if r.RebalanceTimeout >= 0 {
		m.rebalance = r.RebalanceTimeout
	}
	if r.RackID != nil {
		m.rack = strings.Clone(*r.RackID)
	}
	if r.Assignor != nil {
		m.assignor = strings.Clone(*r.Assignor)
	}
	return differs
}

// leaves takes out a member that leaves. A static one that says that it will come back keeps its
// place until its session is over.
func (g *consumerGroup) leaves(r *ConsumerHeartbeat) ConsumerAnswer {
	w := Identity{Member: r.MemberID}
	if r.InstanceID != nil {
		w.Instance = *r.InstanceID
	}
	m, err := g.known(w)
	if err != nil {
		return ConsumerAnswer{Err: err}
	}
	if r.Epoch == away {
		g.own(m, m.assigned, nil)
		g.agreed++
		m.epoch, m.state, m.revokeBy = away, settled, time.Time{}
	} else {
		g.remove(m)
		g.advance()
	}
	return ConsumerAnswer{MemberID: m.id, Epoch: r.Epoch}
}
