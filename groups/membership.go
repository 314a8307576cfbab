package groups

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/groups/internal/protocol"
)

// Join makes somebody a member of a group, or keeps them one, and returns when the generation that
// they are in begins. It takes as long as the other members take; when ctx ends before, the error
// is CoordinatorNotAvailable.
func (m *Manager) Join(ctx context.Context, group string, r JoinRequest) JoinAnswer {
	var reply protocol.Reply
	err := m.with(ctx, group, r.MemberID == "", func(_ *shardOwnership, l *hostedGroup) (err error) {
		if r.SessionTimeout < m.opts.MinSessionTimeout || r.SessionTimeout > m.opts.MaxSessionTimeout {
			return kerr.InvalidSessionTimeout
		}
		if l == nil {
			return kerr.UnknownMemberID
		}
		r.Spare = m.opts.Limits.TotalBytes - m.bytes.Load()
		for i := range r.Protocols {
			r.Protocols[i].Metadata = bytes.Clone(r.Protocols[i].Metadata)
		}
		id := r.InstanceID
		if id == "" {
			id = r.ClientID
		}
		newID := id[:min(len(id), maxIDPrefix)] + "-" + randomID()
		reply, err = l.await(ctx, func(now time.Time, g *protocol.Group, t protocol.Ticket) *kerr.Error {
			members, refused := g.AsClassic()
			if refused == nil {
				members.Join(now, &r, newID, t)
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
	var reply protocol.Reply
	err := m.with(ctx, group, false, func(_ *shardOwnership, l *hostedGroup) (err error) {
		if l == nil {
			return kerr.UnknownMemberID
		}
		for id, assignment := range r.Assignments {
			r.Assignments[id] = bytes.Clone(assignment)
		}
		reply, err = l.await(ctx, func(now time.Time, g *protocol.Group, t protocol.Ticket) *kerr.Error {
			members, refused := g.AsClassic()
			if refused == nil {
				members.Sync(now, &r, t)
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
	return m.told(m.with(ctx, group, false, func(_ *shardOwnership, l *hostedGroup) error {
		if l == nil {
			return kerr.UnknownMemberID
		}
		return l.askClassic(func(now time.Time, g protocol.ClassicMembers) *kerr.Error {
			return g.Heartbeat(now, protocol.Identity{Member: member, Instance: instance}, generation)
		})
	}))
}

// Leave takes a member out of its group. A static member can be named by its instance id alone.
func (m *Manager) Leave(ctx context.Context, group, member, instance string) *kerr.Error {
	return m.told(m.with(ctx, group, false, func(_ *shardOwnership, l *hostedGroup) error {
		if l == nil {
			return kerr.UnknownMemberID
		}
		return l.askClassic(func(now time.Time, g protocol.ClassicMembers) *kerr.Error {
			return g.Leave(now, protocol.Identity{Member: member, Instance: instance})
		})
	}))
}

// ask runs an event that is answered at once.
func (l *hostedGroup) ask(event func(now time.Time, g *protocol.Group) *kerr.Error) error {
	var answer *kerr.Error
	l.step(func(now time.Time, g *protocol.Group) { answer = event(now, g) })
	if answer != nil {
		return answer
	}
	return nil
}

// askClassic is ask for what members of the classic protocol ask.
func (l *hostedGroup) askClassic(event func(now time.Time, g protocol.ClassicMembers) *kerr.Error) error {
	return l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
		members, refused := g.AsClassic()
		if refused != nil {
			return refused
		}
		return event(now, members)
	})
}

// Describe describes a group. One of which nothing is stored is GroupIDNotFound.
func (m *Manager) Describe(ctx context.Context, group string) (Description, *kerr.Error) {
	d := Description{Group: group}
	err := m.with(ctx, group, false, func(t *shardOwnership, l *hostedGroup) error {
		stored, exists := m.dormant(group)
		if l == nil {
			d = stored
		} else {
			l.step(func(_ time.Time, g *protocol.Group) {
				g.Describe(&d)
				exists = exists || g.Remembers() || len(d.Members) > 0
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
			idle := l.group.Vacant() && !l.group.Remembers()
			l.group.Describe(&d)
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

func (t *shardOwnership) all() []*hostedGroup {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*hostedGroup, 0, len(t.groups))
	for _, l := range t.groups {
		all = append(all, l)
	}
	return all
}
