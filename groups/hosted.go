package groups

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/groups/internal/protocol"
)

// hostedGroup is a group in memory, under a lock, with a timer and the requests that wait for
// answers.
type hostedGroup struct {
	t     *shardOwnership
	name  string
	users int // the ownership's
	// holds an element while offsets are being decided: one after the other, in the order in which
	// they were allowed
	committing chan struct{}

	mu      sync.Mutex
	group   *protocol.Group
	freed   chan struct{}      // closed, and replaced, when a share group may have something new for its members
	kept    protocol.Agreement // the last one that is stored
	stored  bool               // and that there were members in it
	keeping bool               // somebody is storing what is not
	tickets protocol.Ticket
	waiting map[protocol.Ticket]chan<- protocol.Reply
	timer   *time.Timer
	rings   time.Time // when timer does; zero: not at all
}

func newHostedGroup(t *shardOwnership, name string) *hostedGroup {
	opts := t.m.ofGroups
	opts.ConsumerSessionTimeout = t.m.sessionOf(name)
	l := &hostedGroup{t: t, name: name, committing: make(chan struct{}, 1),
		waiting: map[protocol.Ticket]chan<- protocol.Reply{}, group: protocol.NewGroup(&opts), freed: make(chan struct{})}
	l.kept = l.group.Agreement()
	l.timer = time.AfterFunc(time.Hour, l.ring)
	l.timer.Stop()
	return l
}

// step runs an event, and gives the answers that it makes due to those who wait for them.
func (l *hostedGroup) step(event func(now time.Time, g *protocol.Group)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stepLocked(event)
}

func (l *hostedGroup) stepLocked(event func(now time.Time, g *protocol.Group)) {
	g, m := l.group, l.t.m
	before := g.Load()
	now := time.Now()
	event(now, g)
	g.Settle(now)
	for _, r := range g.Take() {
		if answer := l.waiting[r.Ticket]; answer != nil {
			answer <- r // has room for it
			delete(l.waiting, r.Ticket)
		}
	}
	after := g.Load()
	if after.Freed != before.Freed {
		m.metrics.lapsed.Add(float64(after.Lapsed - min(before.Lapsed, after.Lapsed)))
		close(l.freed)
		l.freed = make(chan struct{})
	}
	m.members.Add(int64(after.Members - before.Members))
	m.bytes.Add(int64(after.Bytes - before.Bytes))
	m.claims.Add(int64(after.Claims - before.Claims))
	if after.Rebalanced(&before) {
		m.metrics.rebalances.Inc()
	}
	l.arm(g.Deadline())
	l.keepLocked()
}

// arm sets the timer. A timer that rings too early does no harm, so it is not put off.
func (l *hostedGroup) arm(deadline time.Time) {
	switch {
	case deadline.IsZero():
		l.timer.Stop()
		l.rings = time.Time{}
	case l.rings.IsZero() || deadline.Before(l.rings):
		l.rings = deadline
		l.timer.Reset(time.Until(deadline))
	}
}

// ring is the timer's.
func (l *hostedGroup) ring() {
	entered, err := l.t.enter(l.name, false)
	if err != nil || entered == nil {
		return
	}
	defer l.t.leave(entered)
	entered.mu.Lock()
	defer entered.mu.Unlock()
	entered.rings = time.Time{}
	entered.stepLocked(func(now time.Time, g *protocol.Group) { g.Tick(now) })
}

func (l *hostedGroup) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.group.Idle() && !l.keeping
}

// bytes is how much memory the group takes.
func (l *hostedGroup) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.group.Load().Bytes)
}

// await runs an event that is answered later unless it is refused at once, and waits for the
// answer. If ctx ends first, the group no longer counts the request as waiting.
func (l *hostedGroup) await(ctx context.Context,
	event func(now time.Time, g *protocol.Group, t protocol.Ticket) *kerr.Error) (protocol.Reply, error) {
	answer := make(chan protocol.Reply, 1)
	l.mu.Lock()
	l.tickets++
	ticket := l.tickets
	l.waiting[ticket] = answer
	var refused *kerr.Error
	l.stepLocked(func(now time.Time, g *protocol.Group) { refused = event(now, g, ticket) })
	if refused != nil {
		delete(l.waiting, ticket)
	}
	l.mu.Unlock()
	if refused != nil {
		return protocol.Reply{}, refused
	}
	select {
	case r := <-answer:
		return r, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case r := <-answer:
		return r, nil
	default:
	}
	delete(l.waiting, ticket)
	l.stepLocked(func(now time.Time, g *protocol.Group) { g.Abandon(now, ticket) })
	return protocol.Reply{}, ctx.Err()
}
