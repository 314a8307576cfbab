package groups

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
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
	group   *anyGroup
	freed   chan struct{} // closed, and replaced, when a share group may have something new for its members
	kept    agreement     // the last one that is stored
	stored  bool          // and that there were members in it
	keeping bool          // somebody is storing what is not
	tickets Ticket
	waiting map[Ticket]chan<- Reply
	timer   *time.Timer
	rings   time.Time // when timer does; zero: not at all
}

func newHostedGroup(t *shardOwnership, name string) *hostedGroup {
	opts := t.m.ofGroups
	opts.consumerSessionTimeout = t.m.sessionOf(name)
	l := &hostedGroup{t: t, name: name, committing: make(chan struct{}, 1), waiting: map[Ticket]chan<- Reply{},
		group: newAnyGroup(&opts), freed: make(chan struct{})}
	l.kept = l.group.agreement()
	l.timer = time.AfterFunc(time.Hour, l.ring)
	l.timer.Stop()
	return l
}

// step runs an event, and gives the answers that it makes due to those who wait for them.
func (l *hostedGroup) step(event func(now time.Time, g *anyGroup)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stepLocked(event)
}

func (l *hostedGroup) stepLocked(event func(now time.Time, g *anyGroup)) {
	g, m := l.group, l.t.m
	was := g.kind
	claims := g.claimed()
	members, bytes, generation := g.weight()
	freed, lapsed := g.freed()
	now := time.Now()
	event(now, g)
	if freedNow, lapsedNow := g.freed(); freedNow != freed {
		m.metrics.lapsed.Add(float64(lapsedNow - min(lapsed, lapsedNow)))
		close(l.freed)
		l.freed = make(chan struct{})
	}
	g.settle(now)
	for _, r := range g.take() {
		if answer := l.waiting[r.Ticket]; answer != nil {
			answer <- r // has room for it
			delete(l.waiting, r.Ticket)
		}
	}
	membersNow, bytesNow, generationNow := g.weight()
	m.members.Add(int64(membersNow - members))
	m.bytes.Add(int64(bytesNow - bytes))
	m.claims.Add(int64(g.claimed() - claims))
	if generationNow > generation || g.kind != was && membersNow > 0 {
		m.metrics.rebalances.Inc()
	}
	l.arm(g.deadline())
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
	entered.stepLocked(func(now time.Time, g *anyGroup) { g.tick(now) })
}

func (l *hostedGroup) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.group.idle() && !l.keeping
}

// bytes is how much memory the group takes.
func (l *hostedGroup) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, bytes, _ := l.group.weight()
	return int64(bytes)
}

// await runs an event that is answered later unless it is refused at once, and waits for the
// answer. If ctx ends first, the group no longer counts the request as waiting.
func (l *hostedGroup) await(ctx context.Context, event func(now time.Time, g *anyGroup, t Ticket) *kerr.Error) (Reply,
	error) {
	answer := make(chan Reply, 1)
	l.mu.Lock()
	l.tickets++
	ticket := l.tickets
	l.waiting[ticket] = answer
	var refused *kerr.Error
	l.stepLocked(func(now time.Time, g *anyGroup) { refused = event(now, g, ticket) })
	if refused != nil {
		delete(l.waiting, ticket)
	}
	l.mu.Unlock()
	if refused != nil {
		return Reply{}, refused
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
	l.stepLocked(func(now time.Time, g *anyGroup) { g.abandon(now, ticket) })
	return Reply{}, ctx.Err()
}
