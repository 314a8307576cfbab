package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/segments"
)

// Claims is one group of holders, who lease partitions one by one instead of being members. Like
// classicGroup it is a transition function: it knows no clock but the time that comes with an
// event.
//
// A partition has one holder at most, and is another's to have when the claim has expired or was
// given up. Claims and commits of a group come one after the other (see Manager.Claim), so no
// commit of an earlier holder is decided after the claim of a later one.
type Claims struct {
	limits Limits
	dead   bool

	known   map[segments.Partition]*claim // claimed now, or lately
	holders map[string]int                // how many claims each has now
	next    time.Time                     // when tick may have something to do; zero: never
	bytes   int                           // of what holders sent
}

var _ kind = (*Claims)(nil)

// agreements is 0: claims are not stored. Their epochs grow with the next owner, which refuses
// those of this one.
func (g *Claims) agreements() uint64 { return 0 }

// claim is what is known of a partition. It is kept for a while after its end, so that the
// partition which had to wait the longest is the next.
type claim struct {
	holder string
	epoch  uint64
	until  time.Time // when it expires; zero: it has ended
	ended  time.Time
	// until then a commit may be decided to whose question the coordinator did not answer; zero: there
	// is none
	doubtful time.Time
	busy     bool // a request under it is on its way: see Processing
}

// remembered is for how long it is known which partitions were claimed when: as long as the longest
// claim.
const remembered = MaxClaimTTL

func newClaims(limits Limits) *Claims {
	return &Claims{limits: limits, known: map[segments.Partition]*claim{}, holders: map[string]int{}}
}

// Claiming is somebody who wants partitions.
type Claiming struct {
	Holder     string
	Partitions []segments.Partition // any of these, each once
	Max        int
	TTL        time.Duration
	Spare      int // how many more partitions the node has room to remember

	Lag   func(segments.Partition) int64 // records that the group has not read
	Epoch func() uint64                  // a number that is higher than all before
}

// Grant is a partition that somebody got, or has.
type Grant struct {
	Partition segments.Partition
	Holder    string
	Epoch     uint64
	Until     time.Time
}

func (c *claim) grant(at segments.Partition) Grant { return Grant{at, c.holder, c.epoch, c.until} }

// Claim gives a holder partitions: those that it has already, which so live on, unless a request
// under them is on its way, then others. Of these the ones with records to read come first, and
// among them those that have been without a holder the longest: a partition that makes its holders
// fail does not keep the others waiting. In case of doubt a partition goes to the holder that had
// it last.
func (g *Claims) Claim(now time.Time, c *Claiming) ([]Grant, *kerr.Error) {
	if g.dead {
		return nil, kerr.NotCoordinator
	}
	g.Tick(now)
	var granted []Grant
	var free []candidate
	for _, at := range c.Partitions {
		known := g.known[at]
		switch {
		case known == nil:
			free = append(free, candidate{partition: at, unread: c.Lag(at) > 0})
		case known.lasts() && known.holder == c.Holder && len(granted) < c.Max && !known.busy:
			g.extend(known, now.Add(c.TTL))
			granted = append(granted, known.grant(at))
		case known.free():
			free = append(free, candidate{at, c.Lag(at) > 0, known.ended, known.holder == c.Holder})
		}
	}
	slices.SortStableFunc(free, candidate.compare)
	for _, f := range free[:min(len(free), c.Max-len(granted))] {
		if g.known[f.partition] == nil && !g.makeRoom(c.Spare) {
			if len(granted) == 0 {
				return nil, kerr.GroupMaxSizeReached
			}
			break
		}
		before := len(g.known)
		granted = append(granted, g.begin(f.partition, c, now).grant(f.partition))
		c.Spare -= len(g.known) - before
	}
	return granted, nil
}

// candidate is a partition without a holder.
type candidate struct {
	partition segments.Partition
	unread    bool
	ended     time.Time // of the last claim; zero: none that is known
	again     bool      // the last holder is the one that asks
}

func (a candidate) compare(b candidate) int {
	return cmp.Or(-compareBool(a.unread, b.unread), a.ended.Compare(b.ended), -compareBool(a.again, b.again))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// makeRoom makes room for one more partition, if that can be had. Memories of ended claims have to
// go first.
func (g *Claims) makeRoom(spare int) bool {
	if spare > 0 && len(g.known) < g.limits.ClaimsPerGroup {
		return true
	}
	var oldest segments.Partition
	for at, c := range g.known {
		if c.free() && (oldest == segments.Partition{} || c.ended.Before(g.known[oldest].ended)) {
			oldest = at
		}
	}
	if g.known[oldest] == nil {
		return false
	}
	g.forget(oldest)
	return true
}

// begin makes the partition the holder's.
func (g *Claims) begin(at segments.Partition, c *Claiming, now time.Time) *claim {
	if g.known[at] != nil {
		g.forget(at)
	}
	n := &claim{holder: c.Holder, epoch: c.Epoch()}
	g.known[at] = n
	g.bytes += n.size()
	g.holders[c.Holder]++
	g.extend(n, now.Add(c.TTL))
	return n
}

// extend lets a claim last until then.
func (g *Claims) extend(c *claim, until time.Time) {
	c.until = until
	g.wake(until)
}

func (g *Claims) wake(at time.Time) {
	if g.next.IsZero() || at.Before(g.next) {
		g.next = at
	}
}

// end takes the holder away.
func (g *Claims) end(c *claim, when time.Time) {
	c.until, c.ended = time.Time{}, when
	if g.holders[c.holder]--; g.holders[c.holder] == 0 {
		delete(g.holders, c.holder)
	}
	g.wake(when.Add(remembered))
}

func (g *Claims) forget(at segments.Partition) {
	g.bytes -= g.known[at].size()
	delete(g.known, at)
}

// lasts says that the claim has not ended.
func (c *claim) lasts() bool { return !c.until.IsZero() }

// free says whether somebody else can have the partition.
func (c *claim) free() bool { return !c.lasts() && c.doubtful.IsZero() && !c.busy }

// size is how many bytes the claim makes the server keep, about.
func (c *claim) size() int { return claimOverhead + len(c.holder) }

const claimOverhead = 192

// Held returns the claim if it is the holder's, and current.
func (g *Claims) Held(now time.Time, at segments.Partition, holder string, epoch uint64) (*claim, *kerr.Error) {
	if g.dead {
		return nil, kerr.NotCoordinator
	}
	c := g.known[at]
	if c == nil || c.epoch != epoch || c.holder != holder || !now.Before(c.until) {
		return nil, kerr.FencedMemberEpoch
	}
	return c, nil
}

// Renew lets a claim last longer.
func (g *Claims) Renew(now time.Time, h Held, holder string, ttl time.Duration) *kerr.Error {
	c, err := g.Held(now, h.Partition, holder, h.Epoch)
	if err == nil {
		g.extend(c, now.Add(ttl))
	}
	return err
}

// Release gives a claim up.
func (g *Claims) Release(now time.Time, h Held, holder string) *kerr.Error {
	c, err := g.Held(now, h.Partition, holder, h.Epoch)
	if err == nil {
		g.end(c, now)
	}
	return err
}

// Decided says that a commit under this claim has ended. When the coordinator did not answer, it
// may still be decided until doubtful, which is not zero then, and nobody else gets the partition
// before that.
func (g *Claims) Decided(now time.Time, h Held, doubtful time.Time, release bool) {
	c := g.known[h.Partition]
	if c == nil || c.epoch != h.Epoch {
		return
	}
	switch {
	case !doubtful.IsZero():
		c.doubtful = doubtful
		g.wake(doubtful)
	case release && c.lasts():
		g.end(c, now)
	}
}

// Busy says whether a request under the claim of a partition, which there is, is on its way.
func (g *Claims) Busy(at segments.Partition) bool { return g.known[at].busy }

// Process says that a request under this claim is on its way.
func (g *Claims) Process(at segments.Partition) { g.known[at].busy = true }

// Processed says that a request under this claim is over.
func (g *Claims) Processed(now time.Time, h Held, release bool) {
	c := g.known[h.Partition]
	if c == nil || c.epoch != h.Epoch {
		return
	}
	c.busy = false
	if release && c.lasts() {
		g.end(c, now)
	}
	g.wake(now)
}

// vacant says that there are no claims, and none of which a commit is in doubt or on its way: the
// group may have members.
func (g *Claims) vacant() bool {
	if len(g.holders) > 0 {
		return false
	}
	for _, c := range g.known {
		if !c.free() {
			return false
		}
	}
	return true
}

// MayCommit says whether somebody may commit who has no claim.
func (g *Claims) MayCommit(_ time.Time, c Committer) *kerr.Error {
	switch {
	case g.dead:
		return kerr.NotCoordinator
	case c.Generation >= 0 || !g.vacant():
		return kerr.UnknownMemberID
	}
	return nil
}

// Idle says that there is nothing to remember.
func (g *Claims) Idle() bool { return len(g.known) == 0 }

// Deadline is when tick has something to do, zero for never.
func (g *Claims) Deadline() time.Time { return g.next }

// Tick does what time demands.
func (g *Claims) Tick(now time.Time) {
	if g.next.IsZero() || now.Before(g.next) {
		return
	}
	g.next = time.Time{}
	for at, c := range g.known {
		if c.lasts() && !now.Before(c.until) {
			g.end(c, c.until)
		}
		if !c.doubtful.IsZero() && !now.Before(c.doubtful) {
			c.doubtful = time.Time{}
		}
		switch {
		case c.lasts():
			g.wake(c.until)
		case !c.doubtful.IsZero():
			g.wake(c.doubtful)
		case c.busy: // until it is processed
		case !now.Before(c.ended.Add(remembered)):
			g.forget(at)
		default:
			g.wake(c.ended.Add(remembered))
		}
	}
}

// die says that this node does not own the group any more.
func (g *Claims) die() { *g = Claims{dead: true, limits: g.limits} }

// All returns the claims that there are, ordered by partition.
func (g *Claims) All() []Grant {
	var all []Grant
	for at, c := range g.known {
		if c.lasts() {
			all = append(all, c.grant(at))
		}
	}
	slices.SortFunc(all, func(a, b Grant) int { return a.Partition.Compare(b.Partition) })
	return all
}

// Take returns nothing: nobody waits for an answer of claims.
func (g *Claims) Take() []Reply { return nil }

// Abandon does nothing, for the same reason.
func (g *Claims) Abandon(time.Time, Ticket) {}

func (g *Claims) weight() (members, bytes int, generation int32) { return len(g.holders), g.bytes, 0 }

// Subscriptions says of each topic that it is in use: only its id is known here.
func (g *Claims) Subscriptions() func(topic string) bool {
	return func(string) bool { return !g.vacant() }
}

// Describe shows holders as members, so that Kafka's tools show who has which partition.
func (g *Claims) Describe(d *Description) {
	d.State, d.ProtocolType = Empty, consumerProtocol
	if len(g.holders) > 0 {
		d.State, d.Protocol = Stable, claimsProtocol
	}
	at := map[string]int{}
	for _, c := range g.All() {
		i, known := at[c.Holder]
		if !known {
			i = len(d.Members)
			at[c.Holder] = i
			d.Members = append(d.Members, Member{ID: c.Holder, ClientID: c.Holder})
		}
		d.Members[i].Claimed = append(d.Members[i].Claimed, c.Partition)
	}
}

// claimsProtocol is what tools show as the way of assigning.
const claimsProtocol = "firn-claims"
