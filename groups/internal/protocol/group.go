package protocol

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// kind is what a group is at a time: one of the classic protocol, of the new one, one whose
// partitions are leased, or a share group. Each kind is a transition function of its own, as
// classicGroup describes it.
type kind interface {
	Idle() bool // there is nothing to remember: the group may be forgotten, or become one of another kind
	Take() []Reply
	Deadline() time.Time
	Tick(now time.Time)
	Abandon(now time.Time, t Ticket)
	die()

	// weight is how many members there are, how many bytes they make the server keep, and how many
	// generations there have been.
	weight() (members, bytes int, generation int32)
	agreements() uint64 // how often members have come to another agreement: see stored.go
	MayCommit(now time.Time, c Committer) *kerr.Error
	Describe(d *Description)
	Subscriptions() func(topic string) bool
}

// ClassicMembers is a kind that members of the classic protocol can be in.
type ClassicMembers interface {
	kind
	Join(now time.Time, r *JoinRequest, newID string, t Ticket)
	Sync(now time.Time, r *SyncRequest, t Ticket)
	Heartbeat(now time.Time, w Identity, generation int32) *kerr.Error
	Leave(now time.Time, w Identity) *kerr.Error
}

var _ ClassicMembers = (*classicGroup)(nil)

// Group is one group, of whichever kind it is. One that is idle becomes what the next event needs.
type Group struct {
	kind
	Dead bool // the host has said Die
	opts *Options
}

// NewGroup returns a group that has never had a member.
func NewGroup(opts *Options) *Group {
	g := &Group{opts: opts}
	g.kind = g.fresh()
	return g
}

func (g *Group) fresh() *classicGroup {
	return newClassicGroup(g.opts.Limits, g.opts.InitialRebalanceDelay)
}

// AsClassic returns the group as members of the classic protocol see it.
func (g *Group) AsClassic() (ClassicMembers, *kerr.Error) {
	if g.Dead {
		return nil, kerr.NotCoordinator
	}
	_, consumerGroup := g.kind.(*consumerGroup)
	if members, ok := g.kind.(ClassicMembers); ok && !(consumerGroup && g.Idle()) {
		return members, nil
	}
	if !g.Vacant() || g.IsShare() {
		return nil, kerr.InconsistentGroupProtocol
	}
	m := g.fresh()
	g.kind = m
	return m, nil
}

// AsClaims returns the group as those see it who lease its partitions.
func (g *Group) AsClaims() (*Claims, *kerr.Error) {
	if g.Dead {
		return nil, kerr.NotCoordinator
	}
	if c, ok := g.kind.(*Claims); ok {
		return c, nil
	}
	if !g.Idle() || g.IsShare() {
		return nil, kerr.InconsistentGroupProtocol
	}
	c := newClaims(g.opts.Limits)
	g.kind = c
	return c, nil
}

// Vacant says that the group has no members and no claims: it can become one of another kind, or be
// deleted. Claims are remembered for a while after that.
func (g *Group) Vacant() bool {
	if c, ok := g.kind.(*Claims); ok {
		return c.vacant()
	}
	return g.Idle()
}

// InUse says that the group has members, or claims of partitions or records. A client that was only
// given an id is no member.
func (g *Group) InUse() bool {
	switch k := g.kind.(type) {
	case *Claims:
		return !k.vacant()
	case *ShareGroup:
		return !k.Idle()
	}
	return g.Members() > 0
}

// Load is what a group makes its host keep, and what the host counts of it.
type Load struct {
	Members, Bytes int
	Claims         int    // that are known of, also those that have ended
	Freed          uint64 // how often a share group had something new for its members
	Lapsed         uint64 // records of a share group whose time was over
	generation     int32
	kind           kind
}

// Load returns the group's load.
func (g *Group) Load() Load {
	l := Load{kind: g.kind}
	l.Members, l.Bytes, l.generation = g.weight()
	switch k := g.kind.(type) {
	case *Claims:
		l.Claims = len(k.known)
	case *ShareGroup:
		l.Freed, l.Lapsed = k.freed, k.lapsed
	}
	return l
}

// Rebalanced says that the members have begun another generation since before.
func (l *Load) Rebalanced(before *Load) bool {
	return l.generation > before.generation || l.kind != before.kind && l.Members > 0
}

// Claims returns the claims of a group that has any, or had lately.
func (g *Group) Claims() (*Claims, bool) {
	c, is := g.kind.(*Claims)
	return c, is
}

// Share returns a share group that is not dead.
func (g *Group) Share() (*ShareGroup, bool) {
	s, is := g.kind.(*ShareGroup)
	return s, is && !g.Dead
}

// MayFetch says whether a member that asks for committed offsets is one. Where there is no group of
// the new protocol it is not known: its next heartbeat will tell it.
func (g *Group) MayFetch(member string, epoch int32) *kerr.Error {
	if members, ok := g.kind.(*consumerGroup); ok {
		return members.mayFetch(member, epoch)
	}
	return nil
}

// See tells a group of the new protocol, or a share group, which topics there are.
func (g *Group) See(topics *Catalog) {
	switch members := g.kind.(type) {
	case *consumerGroup:
		members.see(topics)
	case *ShareGroup:
		members.see(topics)
	}
}

// CatchUp has a restored group see which topics there are: it may have been without a host when
// they changed.
func (g *Group) CatchUp(topics *Catalog) {
	switch members := g.kind.(type) {
	case *consumerGroup:
		members.renew()
	case *ShareGroup:
		members.see(topics)
	}
}

// Forget makes a group that was deleted one that never had a member, unless somebody has joined
// meanwhile.
func (g *Group) Forget() bool {
	if _, claims := g.kind.(*Claims); claims || g.Dead || g.Members() > 0 {
		return false
	}
	g.kind = g.fresh()
	return true
}

// Die says that the host does not own the group any more. Requests that wait are answered so.
func (g *Group) Die() {
	g.Dead = true
	g.kind.die()
}

// Members is how many there are.
func (g *Group) Members() int {
	n, _, _ := g.weight()
	return n
}

// OfConsumers says whether the members are consumers, so that their subscriptions are known.
func (g *Group) OfConsumers() bool {
	m, classic := g.kind.(*classicGroup)
	return !classic || m.protocolType == consumerProtocol
}
