package protocol

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"firn.dev/segments"
)

// The next owner of a group has to know its members. So they are stored as a fact, like committed
// offsets, whenever they have come to a new agreement. So when a node dies, members go on with the
// generation and the partitions that they have, and nobody else is given those meanwhile.
//
// It is stored right behind the answers that it is about, not before them. A node that dies in
// between leaves an older agreement: a member that knows a newer one is refused by its generation
// or epoch, gives up its partitions, and joins again.

// storedGroup is a group as it is stored: JSON.
type storedGroup struct {
	Format   int                  `json:"format"`
	Classic  *storedClassic       `json:"classic,omitempty"`
	Consumer *storedConsumerGroup `json:"consumer,omitempty"`
	Share    *storedShare         `json:"share,omitempty"`
}

// storedFormat is the format of a group with members. One without has the next: a program that only
// knows the first would wait for the members of a generation that nobody is in. Share groups have
// one of their own.
const (
	storedFormat      = 1
	storedEmptyFormat = 2
	storedShareFormat = 3
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

type storedConsumerGroup struct {
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

// Export is what the next owner has to know, empty if that is nothing. False: the members are in
// the middle of an agreement, whose end is stored.
func (g *Group) Export() ([]byte, bool) {
	stored := storedGroup{Format: storedFormat}
	switch k := g.kind.(type) {
	case *classicGroup:
		if k.state != Stable && k.state != Empty {
			return nil, false
		}
		stored.Classic = k.export()
	case *consumerGroup:
		stored.Consumer = k.export()
	case *ShareGroup:
		stored.Share = k.export()
	}
	switch {
	case stored.Share != nil:
		stored.Format = storedShareFormat
	case stored.Classic == nil && stored.Consumer == nil:
		return nil, true
	case g.Members() == 0:
		stored.Format = storedEmptyFormat
	}
	b, err := json.Marshal(stored)
	return b, err == nil // it holds nothing that cannot be marshalled
}

func (g *classicGroup) export() *storedClassic {
	if len(g.order) == 0 && g.generation == 0 {
		return nil
	}
	stored := &storedClassic{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol,
		Leader: g.leader}
	for _, m := range g.order {
		stored.Members = append(stored.Members, storedMember{ID: m.id, Instance: m.instance, ClientID: m.clientID,
			ClientHost: m.clientHost,
			SessionMs:  m.session.Milliseconds(), RebalanceMs: m.rebalance.Milliseconds(), Protocols: m.protocols,
			Assignment: m.assignment})
	}
	return stored
}

func (g *consumerGroup) export() *storedConsumerGroup {
	if len(g.order) == 0 && g.epoch == 0 {
		return nil
	}
	stored := &storedConsumerGroup{Epoch: g.epoch, Assignor: g.assignor}
	for _, m := range g.order {
		c := storedConsumer{ID: m.id, Instance: m.instance, Rack: m.rack, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceMs: m.rebalance.Milliseconds(),
			Assignor:    m.assignor, Names: m.names, Regex: m.regex, Matched: m.matched, Epoch: m.epoch, Previous: m.previous,
			State:    m.state,
			Assigned: exportHolds(m.assigned), Revoking: exportHolds(m.revoking)}
		for _, at := range m.target {
			c.Target = append(c.Target, storedHold{Topic: at.Topic[:], Index: at.Index})
		}
		if s := m.classic; s != nil {
			c.Classic = &storedClassicSide{s.session.Milliseconds(), s.protocols, s.version}
		}
		stored.Members = append(stored.Members, c)
	}
	return stored
}

func exportHolds(held map[segments.Partition]int32) (stored []storedHold) {
	for _, at := range slices.SortedFunc(maps.Keys(held), segments.Partition.Compare) {
		stored = append(stored, storedHold{Topic: at.Topic[:], Index: at.Index, Since: held[at]})
	}
	return stored
}

// Restore makes of a new group what a former owner has stored. Members have as long as a session to
// be heard of.
func (g *Group) Restore(now time.Time, stored []byte, topics *Catalog) error {
	var from storedGroup
	if err := json.Unmarshal(stored, &from); err != nil {
		return err
	}
	switch {
	case from.Format == storedShareFormat && from.Share != nil:
		m := newShareGroup(g.opts, topics)
		m.restore(now, from.Share)
		g.kind = m
	case from.Format != storedFormat && from.Format != storedEmptyFormat:
		return fmt.Errorf("members are stored in format %d", from.Format)
	case from.Classic != nil:
		m := g.fresh()
		m.restore(now, from.Classic)
		g.kind = m
	case from.Consumer != nil:
		m := newConsumerGroup(g.opts, topics)
		m.restore(now, from.Consumer)
		g.kind = m
	}
	return nil
}

func (g *classicGroup) restore(now time.Time, from *storedClassic) {
	g.generation, g.protocolType, g.protocol, g.leader = from.Generation, from.ProtocolType, from.Protocol, from.Leader
	if len(from.Members) > 0 {
		g.state = Stable
	}
	for _, s := range from.Members {
		m := &member{id: s.ID, instance: s.Instance, clientID: s.ClientID, clientHost: s.ClientHost,
			session:   milliseconds(s.SessionMs),
			rebalance: milliseconds(s.RebalanceMs), protocols: s.Protocols, assignment: s.Assignment, synced: true}
		m.heard(now)
		g.admit(m)
	}
}

func (g *consumerGroup) restore(now time.Time, from *storedConsumerGroup) {
	g.epoch, g.assignor = from.Epoch, from.Assignor
	for _, s := range from.Members {
		m := &consumer{id: s.ID, instance: s.Instance, rack: s.Rack, clientID: s.ClientID, clientHost: s.ClientHost,
			rebalance: milliseconds(s.RebalanceMs),
			assignor:  s.Assignor, names: s.Names, regex: s.Regex, matched: s.Matched, epoch: s.Epoch, previous: s.Previous,
			state: s.State, heardBy: now.Add(g.session)}
		if m.regex != "" { // until it says who it is, it knows of what it knew of
			m.describes = func(name string) bool { return slices.Contains(s.Matched, name) }
		}
		if c := s.Classic; c != nil {
			m.classic = &classicSide{session: milliseconds(c.SessionMs), protocols: c.Protocols, version: c.Version}
			m.heardBy = now.Add(m.classic.session)
		}
		for at := range restoreHolds(s.Target) {
			m.target = append(m.target, at)
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
		at := segments.Partition{Index: s.Index}
		copy(at.Topic[:], s.Topic)
		held[at] = s.Since
	}
	return held
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// Agreement names what members have agreed on: another kind of group, or a higher number, is
// another one.
type Agreement struct {
	kind   kind
	number uint64
}

// Agreement returns what the members have agreed on.
func (g *Group) Agreement() Agreement { return Agreement{g.kind, g.kind.agreements()} }

// Remembers says that the group is, or was, something that members have made it.
func (g *Group) Remembers() bool {
	stored, agreed := g.Export()
	return !agreed || len(stored) > 0
}
