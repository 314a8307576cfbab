package groups

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/segments"
)

// Join makes somebody a member of a group, or keeps them one, and returns when the generation that they are in begins. It takes as long as the other
// members take; when ctx ends before, the error is CoordinatorNotAvailable.
func (m *Manager) Join(ctx context.Context, group string, r JoinRequest) JoinAnswer {
	var reply Reply
	err := m.with(ctx, group, r.MemberID == "", func(_ *tenure, l *live) (err error) {
		if r.SessionTimeout < m.opts.MinSessionTimeout || r.SessionTimeout > m.opts.MaxSessionTimeout {
			return kerr.InvalidSessionTimeout
		}
		if l == nil {
			return kerr.UnknownMemberID
		}
		r.spare = m.opts.Limits.TotalBytes - m.bytes.Load()
		for i := range r.Protocols {
			r.Protocols[i].Metadata = bytes.Clone(r.Protocols[i].Metadata)
		}
		id := r.InstanceID
		if id == "" {
			id = r.ClientID
		}
		newID := id[:min(len(id), maxIDPrefix)] + "-" + randomID()
		reply, err = l.await(ctx, func(now time.Time, g *party, t Ticket) *kerr.Error {
			members, refused := g.classic()
			if refused == nil {
				members.join(now, &r, newID, t)
			}
			return refused
		})
		return err
	})
	if err != nil {
		return JoinAnswer{Err: m.told(err), MemberID: r.MemberID, Generation: -1}
	}
	if reply.Join.Err == kerr.GroupMaxSizeReached {
		m.failures.Do(func() {
			m.opts.Logger.Warn("a consumer group's member is refused: a limit of members or bytes is reached", "group", group)
		})
	}
	return *reply.Join
}

// maxIDPrefix bounds how much of a client id goes into member ids.
const maxIDPrefix = 255

func randomID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Sync returns a member's assignment, once the leader has brought it.
func (m *Manager) Sync(ctx context.Context, group string, r SyncRequest) SyncAnswer {
	var reply Reply
	err := m.with(ctx, group, false, func(_ *tenure, l *live) (err error) {
		if l == nil {
			return kerr.UnknownMemberID
		}
		for id, assignment := range r.Assignments {
			r.Assignments[id] = bytes.Clone(assignment)
		}
		reply, err = l.await(ctx, func(now time.Time, g *party, t Ticket) *kerr.Error {
			members, refused := g.classic()
			if refused == nil {
				members.sync(now, &r, t)
			}
			return refused
		})
		return err
	})
	if err != nil {
		return SyncAnswer{Err: m.told(err)}
	}
	return *reply.Sync
}

// Heartbeat says that a member is alive.
func (m *Manager) Heartbeat(ctx context.Context, group, member, instance string, generation int32) *kerr.Error {
	return m.told(m.with(ctx, group, false, func(_ *tenure, l *live) error {
		if l == nil {
			return kerr.UnknownMemberID
		}
		return l.askClassic(func(now time.Time, g classicMembers) *kerr.Error {
			return g.heartbeat(now, who{member, instance}, generation)
		})
	}))
}

// Leave takes a member out of its group. A static member can be named by its instance id alone.
func (m *Manager) Leave(ctx context.Context, group, member, instance string) *kerr.Error {
	return m.told(m.with(ctx, group, false, func(_ *tenure, l *live) error {
		if l == nil {
			return kerr.UnknownMemberID
		}
		return l.askClassic(func(now time.Time, g classicMembers) *kerr.Error { return g.leave(now, who{member, instance}) })
	}))
}

// ask runs an event that is answered at once.
func (l *live) ask(event func(now time.Time, g *party) *kerr.Error) error {
	var answer *kerr.Error
	l.step(func(now time.Time, g *party) { answer = event(now, g) })
	if answer != nil {
		return answer
	}
	return nil
}

// askClassic is ask for what members of the classic protocol ask.
func (l *live) askClassic(event func(now time.Time, g classicMembers) *kerr.Error) error {
	return l.ask(func(now time.Time, g *party) *kerr.Error {
		members, refused := g.classic()
		if refused != nil {
			return refused
		}
		return event(now, members)
	})
}

// Member is a member, for people and tools.
type Member struct {
	ID, InstanceID, ClientID, ClientHost string
	Metadata, Assignment                 []byte // in a classic group

	// In a consumer group:
	RackID      string
	Epoch       int32
	Classic     bool // it speaks the classic protocol
	Topics      []string
	Regex       string
	Has, Target []segments.Partition // what it may read, and what it is to have

	claimed []segments.Partition
}

// Type is which protocol a group speaks, by Kafka's names.
type Type uint8

// The types.
const (
	Classic Type = iota
	Consumer
)

func (t Type) String() string { return [...]string{"classic", "consumer"}[t] }

// Description is a group, for people and tools.
type Description struct {
	Group        string
	Type         Type
	State        State
	ProtocolType string
	Protocol     string // while Stable; of a consumer group the assignor
	Epoch        int32  // of a consumer group
	Members      []Member
}

// Describe describes a group. One of which nothing is stored is GroupIDNotFound.
func (m *Manager) Describe(ctx context.Context, group string) (Description, *kerr.Error) {
	d := Description{Group: group}
	err := m.with(ctx, group, false, func(t *tenure, l *live) error {
		stored, exists := m.dormant(group)
		if l == nil {
			d = stored
		} else {
			l.step(func(_ time.Time, g *party) {
				g.describe(&d)
				exists = exists || g.remembers() || len(d.Members) > 0
			})
			m.assignClaims(&d)
		}
		if exists {
			return nil
		}
		if err := t.current(ctx); err != nil { // nor does another node know of it
			return err
		}
		return kerr.GroupIDNotFound
	})
	return d, m.told(err)
}

func (g *machine) describe(d *Description) {
	d.State, d.ProtocolType = g.state, g.protocolType
	if g.state == Stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.order {
		described := Member{ID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost, Assignment: m.assignment}
		if g.state == Stable {
			described.Metadata = m.metadata(g.protocol)
		}
		d.Members = append(d.Members, described)
	}
}

// List returns the groups that are this node's: those with members, and those of which something is
// stored. Members are left out.
func (m *Manager) List() []Description {
	var all []Description
	seen := map[string]bool{}
	for i := range m.shards {
		t := m.shards[i].held.Load()
		if t == nil || !t.holds() {
			continue
		}
		for _, l := range t.all() {
			d := Description{Group: l.name}
			l.mu.Lock()
			idle := l.party.vacant() && !l.party.remembers()
			l.party.describe(&d)
			d.Members = nil
			l.mu.Unlock()
			if !idle {
				seen[l.name] = true
				all = append(all, d)
			}
		}
	}
	for _, group := range m.opts.Node.View().Groups() {
		if !seen[group] && m.mine(shardOf(group)) {
			d, _ := m.dormant(group)
			d.Members = nil
			all = append(all, d)
		}
	}
	return all
}

func (t *tenure) all() []*live {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*live, 0, len(t.groups))
	for _, l := range t.groups {
		all = append(all, l)
	}
	return all
}
