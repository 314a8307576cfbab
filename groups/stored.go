package groups

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// What the next owner of a group has to know of its members is stored as a fact, like committed offsets, whenever they have come to a new agreement. So when a
// node dies, members go on with the generation and the partitions that they have, and nobody else is given those meanwhile.
//
// It is stored right behind the answers that it is about, not before them. A node that dies in between leaves an older agreement: who knows more than
// that is refused by its generation or epoch, gives up what it has, and joins again.

// storedGroup is a group as it is stored: JSON.
type storedGroup struct {
	Format   int            `json:"format"`
	Classic  *storedClassic `json:"classic,omitempty"`
	Consumer *storedModern  `json:"consumer,omitempty"`
}

// storedFormat is the format of a group with members. One without has the next: a program that only
// knows the first would wait for the members of a generation that nobody is in.
const (
	storedFormat      = 1
	storedEmptyFormat = 2
)

type storedClassic struct {
	Generation   int32          `json:"generation"`
	ProtocolType string         `json:"protocolType"`
	Protocol     string         `json:"protocol"`
	Leader       string         `json:"leader"`
	Members      []storedMember `json:"members"` // as they joined
}

type storedMember struct {
	ID          string     `json:"id"`
	Instance    string     `json:"instance,omitempty"`
	ClientID    string     `json:"clientId"`
	ClientHost  string     `json:"clientHost"`
	SessionMs   int64      `json:"sessionMs"`
	RebalanceMs int64      `json:"rebalanceMs"`
	Protocols   []Protocol `json:"protocols"`
	Assignment  []byte     `json:"assignment"`
}

type storedModern struct {
	Epoch    int32            `json:"epoch"`
	Assignor string           `json:"assignor"`
	Members  []storedConsumer `json:"members"`
}

type storedConsumer struct {
	ID          string             `json:"id"`
	Instance    string             `json:"instance,omitempty"`
	Rack        string             `json:"rack,omitempty"`
	ClientID    string             `json:"clientId"`
	ClientHost  string             `json:"clientHost"`
	RebalanceMs int64              `json:"rebalanceMs"`
	Assignor    string             `json:"assignor,omitempty"`
	Names       []string           `json:"names,omitempty"`
	Regex       string             `json:"regex,omitempty"`
	Matched     []string           `json:"matched,omitempty"`
	Epoch       int32              `json:"epoch"`
	Previous    int32              `json:"previous"`
	State       progress           `json:"state"`
	Target      []storedHold       `json:"target,omitempty"`
	Assigned    []storedHold       `json:"assigned,omitempty"`
	Revoking    []storedHold       `json:"revoking,omitempty"`
	Classic     *storedClassicSide `json:"classic,omitempty"`
}

type storedClassicSide struct {
	SessionMs int64      `json:"sessionMs"`
	Protocols []Protocol `json:"protocols"`
	Version   int16      `json:"version"`
}

// storedHold is a partition that a member has, and since which epoch.
type storedHold struct {
	Topic []byte `json:"topic"` // its id
	Index int32  `json:"index"`
	Since int32  `json:"since,omitempty"`
}

// A group that its members have left stays what it was, as in Kafka: its protocol, and the number
// of its generation or epoch, until it is deleted or the sweep finds no offsets in it. It is not
// kept in memory.

// export is what the next owner has to know, empty if that is nothing. False: the members are in the middle of an agreement, whose end is stored.
func (g *party) export() ([]byte, bool) {
	stored := storedGroup{Format: storedFormat}
	switch k := g.kind.(type) {
	case *machine:
		if k.state != Stable && k.state != Empty {
			return nil, false
		}
		stored.Classic = k.export()
	case *modern:
		stored.Consumer = k.export()
	}
	if stored.Classic == nil && stored.Consumer == nil {
		return nil, true
	}
	if g.members() == 0 {
		stored.Format = storedEmptyFormat
	}
	b, err := json.Marshal(stored)
	return b, err == nil // it holds nothing that cannot be marshalled
}

func (g *machine) export() *storedClassic {
	if len(g.order) == 0 && g.generation == 0 {
		return nil
	}
	stored := &storedClassic{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader}
	for _, m := range g.order {
		stored.Members = append(stored.Members, storedMember{ID: m.id, Instance: m.instance, ClientID: m.clientID, ClientHost: m.clientHost,
			SessionMs: m.session.Milliseconds(), RebalanceMs: m.rebalance.Milliseconds(), Protocols: m.protocols, Assignment: m.assignment})
	}
	return stored
}

func (g *modern) export() *storedModern {
	if len(g.order) == 0 && g.epoch == 0 {
		return nil
	}
	stored := &storedModern{Epoch: g.epoch, Assignor: g.assignor}
	for _, m := range g.order {
		c := storedConsumer{ID: m.id, Instance: m.instance, Rack: m.rack, ClientID: m.clientID, ClientHost: m.clientHost, RebalanceMs: m.rebalance.Milliseconds(),
			Assignor: m.assignor, Names: m.names, Regex: m.regex, Matched: m.matched, Epoch: m.epoch, Previous: m.previous, State: m.state,
			Assigned: exportHolds(m.assigned), Revoking: exportHolds(m.revoking)}
		for _, p := range m.target {
			c.Target = append(c.Target, storedHold{Topic: p.Topic[:], Index: p.Index})
		}
		if s := m.classic; s != nil {
			c.Classic = &storedClassicSide{s.session.Milliseconds(), s.protocols, s.version}
		}
		stored.Members = append(stored.Members, c)
	}
	return stored
}

func exportHolds(held map[segments.Partition]int32) (stored []storedHold) {
	for _, p := range slices.SortedFunc(maps.Keys(held), segments.Partition.Compare) {
		stored = append(stored, storedHold{Topic: p.Topic[:], Index: p.Index, Since: held[p]})
	}
	return stored
}

// restore makes of a new group what a former owner has stored. Members have as long as a session to be heard of.
func (g *party) restore(now time.Time, stored []byte, topics *catalog) error {
	var from storedGroup
	if err := json.Unmarshal(stored, &from); err != nil {
		return err
	}
	switch {
	case from.Format != storedFormat && from.Format != storedEmptyFormat:
		return fmt.Errorf("members are stored in format %d", from.Format)
	case from.Classic != nil:
		m := g.fresh()
		m.restore(now, from.Classic)
		g.kind = m
	case from.Consumer != nil:
		m := newModern(g.opts, topics)
		m.restore(now, from.Consumer)
		g.kind = m
	}
	return nil
}

func (g *machine) restore(now time.Time, from *storedClassic) {
	g.generation, g.protocolType, g.protocol, g.leader = from.Generation, from.ProtocolType, from.Protocol, from.Leader
	if len(from.Members) > 0 {
		g.state = Stable
	}
	for _, s := range from.Members {
		m := &member{id: s.ID, instance: s.Instance, clientID: s.ClientID, clientHost: s.ClientHost, session: milliseconds(s.SessionMs),
			rebalance: milliseconds(s.RebalanceMs), protocols: s.Protocols, assignment: s.Assignment, synced: true}
		m.heard(now)
		g.members[m.id] = m
		g.order = append(g.order, m)
		if m.instance != "" {
			g.instances[m.instance] = m.id
		}
		g.bytes += m.size()
	}
}

func (g *modern) restore(now time.Time, from *storedModern) {
	g.epoch, g.assignor = from.Epoch, from.Assignor
	for _, s := range from.Members {
		m := &consumer{id: s.ID, instance: s.Instance, rack: s.Rack, clientID: s.ClientID, clientHost: s.ClientHost, rebalance: milliseconds(s.RebalanceMs),
			assignor: s.Assignor, names: s.Names, regex: s.Regex, matched: s.Matched, epoch: s.Epoch, previous: s.Previous, state: s.State, heardBy: now.Add(g.session)}
		if c := s.Classic; c != nil {
			m.classic = &classicSide{session: milliseconds(c.SessionMs), protocols: c.Protocols, version: c.Version}
			m.heardBy = now.Add(m.classic.session)
		}
		for p := range restoreHolds(s.Target) {
			m.target = append(m.target, p)
		}
		slices.SortFunc(m.target, segments.Partition.Compare)
		g.meant += len(m.target)
		g.own(m, restoreHolds(s.Assigned), restoreHolds(s.Revoking))
		if m.state == unrevoked {
			m.revokeBy = now.Add(m.rebalance)
		}
		g.add(m)
	}
	g.wanted = g.wants()
}

func restoreHolds(stored []storedHold) map[segments.Partition]int32 {
	held := make(map[segments.Partition]int32, len(stored))
	for _, s := range stored {
		p := segments.Partition{Index: s.Index}
		copy(p.Topic[:], s.Topic)
		held[p] = s.Since
	}
	return held
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// agreement names what members have agreed on: another kind of group, or a higher number, is another one.
type agreement struct {
	kind   kind
	number uint64
}

func (g *party) agreement() agreement { return agreement{g.kind, g.kind.agreements()} }

// keepLocked has what the next owner must know stored, unless that is under way.
func (l *live) keepLocked() {
	if l.keeping || l.party.dead || l.party.agreement() == l.kept {
		return
	}
	l.keeping = true
	l.t.m.tasks.Go(func() {
		l.keep(l.t.m.ctx)
		l.t.dismiss(l)
	})
}

// keepAgain is how long a group waits before it tries again to store its members.
const keepAgain = time.Second

// keep stores the members until what is stored is what is, or nothing more can be.
func (l *live) keep(ctx context.Context) {
	for {
		now, members, due := l.unkept(ctx)
		if !due {
			return
		}
		planned := false
		err := l.t.commit(ctx, l, func(_ time.Time, g *party) (c coordinator.CommitOffsets, refused *kerr.Error) {
			if g.dead {
				return c, kerr.NotCoordinator
			}
			// The group may have gone on, or been deleted, while this waited for its turn.
			if stored, agreed := g.export(); agreed {
				now, members, planned = g.agreement(), stored, true
				c.Offsets = []coordinator.GroupOffset{coordinator.Membership(members)}
			}
			return c, nil
		})
		if err == nil {
			if planned {
				l.didKeep(now, len(members) > 0)
			}
			continue
		}
		l.t.m.failures.Do(func() {
			l.t.m.opts.Logger.Warn("storing the members of a group fails, trying again", "group", l.name, "error", err)
		})
		select {
		case <-time.After(keepAgain):
		case <-l.t.ended:
		case <-ctx.Done():
		}
	}
}

// unkept returns what is to be stored now. If that is nothing, keeping is over.
func (l *live) unkept(ctx context.Context) (now agreement, members []byte, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now = l.party.agreement()
	if !l.party.dead && ctx.Err() == nil && now != l.kept {
		if members, due = l.party.export(); due {
			if len(members) > 0 && l.mayKeep() || l.stored {
				return now, members, true
			}
			l.kept = now
		}
	}
	l.keeping = false
	return now, nil, false
}

// mayKeep says whether there is room to store the group. One that is empty is worth less than one
// that wants to commit.
func (l *live) mayKeep() bool {
	return l.party.members() > 0 || l.stored || l.t.m.mayStore(l.name) == nil
}

// didKeep notes what was stored.
func (l *live) didKeep(what agreement, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept, l.stored = what, some
}

// dismiss forgets a group that nobody is in, once its members are stored.
func (t *tenure) dismiss(l *live) {
	t.mu.Lock()
	l.users++
	t.mu.Unlock()
	t.leave(l)
}

// keepAll stores what groups have not stored yet, before another node takes them over.
func (t *tenure) keepAll(ctx context.Context) {
	t.mu.Lock()
	groups := slices.Collect(maps.Values(t.groups))
	t.mu.Unlock()
	for _, l := range groups {
		l.mu.Lock()
		ours := !l.keeping && !l.party.dead && l.party.agreement() != l.kept
		l.keeping = l.keeping || ours
		l.mu.Unlock()
		if ours {
			l.keep(ctx)
		}
	}
}

// takeOver brings the groups of this shard back as former owners stored them.
func (t *tenure) takeOver() {
	view := t.m.opts.Node.View()
	for _, name := range view.Groups() {
		if shardOf(name) != t.shard || view.Membership(name) == nil {
			continue
		}
		t.mu.Lock()
		l, err := t.enterLocked(name, true) // also when this took so long that the lease has to be renewed first
		t.mu.Unlock()
		if err == nil { // or MaxGroups, which enterLocked tells of
			t.leave(l)
		}
	}
}

// recall brings a group that was not in memory back as it was stored, if it was.
func (l *live) recall() {
	stored := l.t.m.opts.Node.View().Membership(l.name)
	if stored == nil {
		return
	}
	l.step(func(now time.Time, g *party) {
		if err := g.restore(now, stored, l.t.m.topics.Load()); err != nil {
			l.t.m.opts.Logger.Warn("the stored members of a group cannot be read; they have to join again",
				"group", l.name, "error", err)
		}
		l.kept, l.stored = g.agreement(), true
	})
}

// remembers says that the group is, or was, something that members have made it.
func (g *party) remembers() bool {
	stored, agreed := g.export()
	return !agreed || len(stored) > 0
}

// forget makes a group that was deleted one that never had a member, unless somebody has joined
// meanwhile.
func (l *live) forget() {
	l.step(func(_ time.Time, g *party) {
		if _, claims := g.kind.(*claims); claims || g.dead || g.members() > 0 {
			return
		}
		g.kind = g.fresh()
		l.kept, l.stored = g.agreement(), false
	})
}

// dormant describes a group that is not in memory; false if nothing is stored of it.
func (m *Manager) dormant(group string) (d Description, exists bool) {
	d.Group = group
	view := m.opts.Node.View()
	stored := view.Membership(group)
	if stored == nil {
		return d, len(view.CommittedOffsets(group)) > 0
	}
	if g := newParty(&m.opts); g.restore(time.Now(), stored, m.topics.Load()) == nil {
		g.describe(&d)
	}
	return d, true
}
