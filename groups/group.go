package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// kind is what a group is at a time: one of the classic protocol, of the new one, one whose
// partitions are leased, or a share group. Each kind is a transition function of its own, as
// classicGroup describes it.
type kind interface {
	idle() bool // there is nothing to remember: the group may be forgotten, or become one of another kind
	take() []Reply
	deadline() time.Time
	tick(now time.Time)
	abandon(now time.Time, t Ticket)
	die()

	// weight is how many members there are, how many bytes they make the server keep, and how many
	// generations there have been.
	weight() (members, bytes int, generation int32)
	agreements() uint64 // how often members have come to another agreement: see group_stored.go
	mayCommit(now time.Time, c Committer) *kerr.Error
	describe(d *Description)
	subscriptions() func(topic string) bool
}

// classicMembers is a kind that members of the classic protocol can be in.
type classicMembers interface {
	kind
	join(now time.Time, r *JoinRequest, newID string, t Ticket)
	sync(now time.Time, r *SyncRequest, t Ticket)
	heartbeat(now time.Time, w who, generation int32) *kerr.Error
	leave(now time.Time, w who) *kerr.Error
}

var _ classicMembers = (*classicGroup)(nil)

// anyGroup is one group, of whichever kind it is. One that is idle becomes what the next event
// needs.
type anyGroup struct {
	kind
	dead bool // no longer this node's
	opts *groupOptions
}

func newAnyGroup(opts *groupOptions) *anyGroup {
	g := &anyGroup{opts: opts}
	g.kind = g.fresh()
	return g
}

func (g *anyGroup) fresh() *classicGroup {
	return newClassicGroup(g.opts.limits, g.opts.initialRebalanceDelay)
}

// classic returns the group as members of the classic protocol see it.
func (g *anyGroup) classic() (classicMembers, *kerr.Error) {
	if g.dead {
		return nil, kerr.NotCoordinator
	}
	_, consumerGroup := g.kind.(*consumerGroup)
	if members, ok := g.kind.(classicMembers); ok && !(consumerGroup && g.idle()) {
		return members, nil
	}
	if !g.vacant() || g.isShare() {
		return nil, kerr.InconsistentGroupProtocol
	}
	m := g.fresh()
	g.kind = m
	return m, nil
}

// claims returns the group as those see it who lease its partitions.
func (g *anyGroup) claims() (*claims, *kerr.Error) {
	if g.dead {
		return nil, kerr.NotCoordinator
	}
	if c, ok := g.kind.(*claims); ok {
		return c, nil
	}
	if !g.idle() || g.isShare() {
		return nil, kerr.InconsistentGroupProtocol
	}
	c := newClaims(g.opts.limits)
	g.kind = c
	return c, nil
}

// vacant says that nobody is in the group: it can become one of another kind, or be deleted. Claims
// are remembered for a while after that.
func (g *anyGroup) vacant() bool {
	if c, ok := g.kind.(*claims); ok {
		return c.vacant()
	}
	return g.idle()
}

// inUse says that somebody is in the group. Those who were only given an id are not.
func (g *anyGroup) inUse() bool {
	if c, ok := g.kind.(*claims); ok {
		return !c.vacant()
	}
	return g.members() > 0
}

// claimed is how many claims are kept in memory.
func (g *anyGroup) claimed() int {
	if c, ok := g.kind.(*claims); ok {
		return len(c.known)
	}
	return 0
}

func (g *anyGroup) die() {
	g.dead = true
	g.kind.die()
}

// members is how many there are.
func (g *anyGroup) members() int {
	n, _, _ := g.weight()
	return n
}

// consumers says whether the members are consumers, so that their subscriptions are known.
func (g *anyGroup) consumers() bool {
	m, classic := g.kind.(*classicGroup)
	return !classic || m.protocolType == consumerProtocol
}
