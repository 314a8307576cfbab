package protocol

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

var testLimits = Limits{}.WithDefaults()

func testOptions() *Options {
	return &Options{Limits: testLimits, InitialRebalanceDelay: 200 * time.Millisecond,
		ConsumerSessionTimeout: 45 * time.Second}
}

// driver sends events to a classic group and keeps account of what it answers.
type driver struct {
	*classicGroup
	now     time.Time
	tickets Ticket
	waiting map[Ticket]string // member ids; "" for a Join without
	joins   map[Ticket]JoinAnswer
	syncs   map[Ticket]SyncAnswer
}

func newDriver(limits Limits, delay time.Duration) *driver {
	return &driver{classicGroup: newClassicGroup(limits, delay), now: time.Unix(1e9, 0), waiting: map[Ticket]string{},
		joins: map[Ticket]JoinAnswer{}, syncs: map[Ticket]SyncAnswer{}}
}

func consumerJoin(id string) *JoinRequest {
	return &JoinRequest{MemberID: id, SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute,
		ProtocolType: "consumer",
		Protocols:    []Protocol{{"range", []byte("topics")}, {"sticky", []byte("more")}}, AsksForID: true, Spare: 1 << 30}
}

func (d *driver) send(member string, event func(t Ticket)) Ticket {
	d.tickets++
	t := d.tickets
	d.waiting[t] = member
	event(t)
	d.collect()
	return t
}

func (d *driver) collect() {
	for _, r := range d.Take() {
		if _, waits := d.waiting[r.Ticket]; !waits {
			panic(fmt.Sprintf("ticket %d is answered twice or was never given", r.Ticket))
		}
		delete(d.waiting, r.Ticket)
		if r.Join != nil {
			d.joins[r.Ticket] = *r.Join
		} else {
			d.syncs[r.Ticket] = *r.Sync
		}
	}
}

func (d *driver) sendJoin(r *JoinRequest) Ticket {
	return d.send(r.MemberID, func(t Ticket) { d.Join(d.now, r, fmt.Sprint("member-", t), t) })
}

func (d *driver) sendSync(r *SyncRequest) Ticket {
	return d.send(r.MemberID, func(t Ticket) { d.Sync(d.now, r, t) })
}

func (d *driver) pass(by time.Duration) {
	d.now = d.now.Add(by)
	d.Tick(d.now)
	d.collect()
}

// enter joins as a member that follows the protocol: with an id first, if one is asked for.
func (d *driver) enter(r *JoinRequest) (id string, t Ticket) {
	t = d.sendJoin(r)
	if a := d.joins[t]; a.Err == kerr.MemberIDRequired {
		again := *r
		again.MemberID = a.MemberID
		return a.MemberID, d.sendJoin(&again)
	}
	return fmt.Sprint("member-", t), t
}

// A group as it lives: two members come, get their assignments, a third brings a rebalance, one
// leaves, one is silent.
func TestLifeOfAGroup(t *testing.T) {
	d := newDriver(testLimits, 100*time.Millisecond)
	a, joinA := d.enter(consumerJoin(""))
	b, joinB := d.enter(consumerJoin(""))
	d.pass(100 * time.Millisecond) // somebody came meanwhile: a little more
	d.pass(100 * time.Millisecond)
	if d.state != CompletingRebalance || d.joins[joinA].Generation != 1 || len(d.joins[joinA].Members) != 2 ||
		d.joins[joinB].Leader != a || d.joins[joinB].Members != nil {
		t.Fatalf("%s: %+v, %+v", d.state, d.joins[joinA], d.joins[joinB])
	}
	syncB := d.sendSync(&SyncRequest{MemberID: b, Generation: 1})
	syncA := d.sendSync(&SyncRequest{MemberID: a, Generation: 1,
		Assignments: map[string][]byte{a: []byte("0"), b: []byte("1"), "stranger": []byte("2")}})
	if d.state != Stable || string(d.syncs[syncA].Assignment) != "0" || string(d.syncs[syncB].Assignment) != "1" {
		t.Fatalf("%s: %+v, %+v", d.state, d.syncs[syncA], d.syncs[syncB])
	}
	c, joinC := d.enter(consumerJoin(""))
	if err := d.Heartbeat(d.now, Identity{Member: a}, 1); err != kerr.RebalanceInProgress {
		t.Errorf("heartbeat while a member joins: %v", err)
	}
	if err := d.MayCommit(d.now, Committer{MemberID: a, Generation: 1}); err != nil {
		t.Errorf("a commit before joining again: %v", err)
	}
	d.sendJoin(consumerJoin(a))
	d.sendJoin(consumerJoin(b))
	if d.generation != 2 || d.joins[joinC].MemberID != c || d.joins[joinC].Generation != 2 {
		t.Fatalf("generation %d, %+v", d.generation, d.joins[joinC])
	}
	if err := d.MayCommit(d.now, Committer{MemberID: a, Generation: 2}); err != kerr.RebalanceInProgress {
		t.Errorf("a commit before the assignment: %v", err)
	}
	if err := d.MayCommit(d.now, Committer{MemberID: a, Generation: 1}); err != kerr.IllegalGeneration {
		t.Errorf("a commit of the generation before: %v", err)
	}
	for _, id := range []string{a, b, c} {
		d.sendSync(&SyncRequest{MemberID: id, Generation: 2})
	}
	if err := d.Leave(d.now, Identity{Member: a}); err != nil {
		t.Fatal(err)
	}
	d.sendJoin(consumerJoin(c))
	d.pass(10 * time.Second) // b's session is over
	if d.state != CompletingRebalance || d.generation != 3 || d.leader != c || len(d.members) != 1 {
		t.Fatalf("%s, generation %d, leader %s, %d members", d.state, d.generation, d.leader, len(d.members))
	}
	d.pass(time.Minute) // and c never syncs
	if d.state != Empty || !d.Idle() || d.bytes != 0 || !d.Deadline().IsZero() {
		t.Fatalf("%s, %d bytes, next %s", d.state, d.bytes, d.Deadline())
	}
}

// A static member that starts again gets its place back without a rebalance; its former self is
// fenced.
func TestStaticMembership(t *testing.T) {
	d := newDriver(testLimits, 0)
	static := func(instance string) *JoinRequest {
		r := consumerJoin("")
		r.InstanceID = instance
		return r
	}
	first := d.joins[d.sendJoin(static("i"))]
	d.sendSync(&SyncRequest{MemberID: first.MemberID, InstanceID: "i", Generation: 1,
		Assignments: map[string][]byte{first.MemberID: []byte("0")}})
	again := d.joins[d.sendJoin(static("i"))]
	if again.Err != nil || again.Generation != 1 || again.MemberID == first.MemberID || again.Leader != first.MemberID ||
		d.state != Stable {
		t.Fatalf("%s: %+v", d.state, again)
	}
	if err := d.Heartbeat(d.now, Identity{first.MemberID, "i"}, 1); err != kerr.FencedInstanceID {
		t.Errorf("the former self's heartbeat: %v", err)
	}
	if got := d.syncs[d.sendSync(&SyncRequest{MemberID: again.MemberID, InstanceID: "i",
		Generation: 1})]; string(got.Assignment) != "0" {
		t.Errorf("the assignment is %+v", got)
	}
	skipping := static("i")
	skipping.SkipsAssigned = true
	if third := d.joins[d.sendJoin(skipping)]; !third.SkipAssignment || third.Leader != third.MemberID ||
		len(third.Members) != 1 {
		t.Errorf("a leader of version 9 is told %+v", third)
	}
	if err := d.Leave(d.now, Identity{Instance: "i"}); err != nil || d.state != Empty {
		t.Errorf("leaving by instance id: %v, %s", err, d.state)
	}
}

// together makes a group of members that are in its first generation and have their assignments.
func (d *driver) together(requests ...*JoinRequest) (ids []string) {
	for _, r := range requests {
		id, _ := d.enter(r)
		ids = append(ids, id)
	}
	for d.state == PreparingRebalance {
		d.pass(d.delay)
	}
	for i := range ids {
		id := ids[len(ids)-1-i] // the leader last
		d.sendSync(&SyncRequest{MemberID: id, InstanceID: d.members[id].instance, Generation: d.generation})
	}
	return ids
}

// Who does not come back in time is out, but for static members: they keep their place until their
// session is over.
func TestWhoDoesNotJoinAgain(t *testing.T) {
	d := newDriver(testLimits, time.Millisecond)
	static := consumerJoin("")
	static.InstanceID, static.SessionTimeout = "i", 10*time.Minute
	plain := consumerJoin("")
	plain.SessionTimeout = 10 * time.Minute
	ids := d.together(consumerJoin(""), static, plain)
	d.sendJoin(consumerJoin(ids[0])) // the leader, so there is a rebalance although nothing has changed
	if d.state != PreparingRebalance {
		t.Fatalf("%s after the leader has joined again", d.state)
	}
	d.pass(time.Minute)
	if d.state != CompletingRebalance || len(d.members) != 2 || d.members[ids[1]] == nil || d.members[ids[2]] != nil {
		t.Fatalf("%s with %d members", d.state, len(d.members))
	}
}

// A member that joins and sends heartbeats but does not ask for its assignment holds the others up
// for a rebalance timeout at most.
func TestWhoDoesNotSync(t *testing.T) {
	d := newDriver(testLimits, time.Millisecond)
	a, _ := d.enter(consumerJoin(""))
	b, _ := d.enter(consumerJoin(""))
	for d.state == PreparingRebalance {
		d.pass(time.Millisecond)
	}
	d.sendSync(&SyncRequest{MemberID: a, Generation: 1})
	for range 13 {
		for _, id := range []string{a, b} {
			d.Heartbeat(d.now, Identity{Member: id}, 1)
		}
		d.pass(5 * time.Second)
	}
	if d.members[b] != nil || d.members[a] == nil || d.state != PreparingRebalance {
		t.Errorf("%s, members %d", d.state, len(d.members))
	}
}

// A rebalance waits for those who were given an id, until they come or their time is over; a lost
// answer to a Join is given again.
func TestWhoIsExpected(t *testing.T) {
	d := newDriver(testLimits, time.Millisecond)
	ids := d.together(consumerJoin(""), consumerJoin(""))
	if again := d.joins[d.sendJoin(consumerJoin(ids[1]))]; again.Err != nil || again.Generation != 1 || d.state != Stable {
		t.Fatalf("%s: %+v", d.state, again)
	}
	named := d.joins[d.sendJoin(consumerJoin(""))]
	changed := consumerJoin(ids[1])
	changed.Protocols = changed.Protocols[:1]
	first, second := d.sendJoin(consumerJoin(ids[0])), d.sendJoin(changed)
	if d.state != PreparingRebalance || named.Err != kerr.MemberIDRequired {
		t.Fatalf("%s: %+v", d.state, named)
	}
	d.pass(10 * time.Second)
	if d.state != CompletingRebalance || d.joins[first].Generation != 2 || d.joins[second].Generation != 2 ||
		d.protocol != "range" {
		t.Fatalf("%s: %+v", d.state, d.joins[first])
	}
	if again := d.joins[d.sendJoin(consumerJoin(ids[0]))]; again.Generation != 2 || len(again.Members) != 2 {
		t.Errorf("the leader, whose answer was lost, is told %+v", again)
	}
}

// Old clients join without an id. When such a Join is given up, its member is gone: it cannot come
// again, and would hold everybody up.
func TestWhoGivesUpWithoutAnID(t *testing.T) {
	d := newDriver(testLimits, time.Hour)
	old := consumerJoin("")
	old.AsksForID = false
	ticket := d.sendJoin(old)
	_, other := d.enter(consumerJoin(""))
	for _, t := range []Ticket{ticket, other} {
		delete(d.waiting, t)
		d.Abandon(d.now, t)
	}
	if len(d.members) != 1 || d.order[0].nameless {
		t.Errorf("%d members are left", len(d.members))
	}
}

func TestProtocolsAreVotedOn(t *testing.T) {
	d := newDriver(testLimits, time.Millisecond)
	with := func(names ...string) *JoinRequest {
		r := consumerJoin("")
		r.Protocols = nil
		for _, n := range names {
			r.Protocols = append(r.Protocols, Protocol{n, []byte(n)})
		}
		return r
	}
	d.enter(with("range", "sticky", "odd"))
	d.enter(with("sticky", "range"))
	d.enter(with("sticky", "range"))
	_, odd := d.enter(with("odd"))
	other := with("range")
	other.ProtocolType = "connect"
	refused := d.sendJoin(other)
	for range 5 {
		d.pass(time.Millisecond)
	}
	if d.protocol != "sticky" || d.joins[odd].Err != kerr.InconsistentGroupProtocol ||
		d.joins[refused].Err != kerr.InconsistentGroupProtocol {
		t.Errorf("protocol %q; the odd one is told %v, another type %v", d.protocol, d.joins[odd].Err, d.joins[refused].Err)
	}
}

// Whatever comes, in whatever order: generations grow, a group with a generation has one leader,
// who is a member; whoever gets an assignment gets that of the generation that it asked for;
// everybody who waits is answered in the end; limits hold; the accounts of memory are right; and
// nothing is left of a group that everybody has left.
func TestClassicGroupKeepsItsInvariants(t *testing.T) {
	limits := testLimits
	limits.MaxMembers, limits.MemberBytes, limits.GroupBytes = 5, 300, 3000
	rapid.Check(t, func(t *rapid.T) {
		d := newDriver(limits, time.Duration(rapid.IntRange(0, 2).Draw(t, "delay"))*time.Second)
		w := walker{driver: d, generations: map[string]int32{}}
		for range rapid.IntRange(1, 120).Draw(t, "events") {
			w.step(t)
			w.check(t)
		}
		for range 10 { // nobody does anything any more
			d.pass(2 * freshTimeout)
			w.check(t)
		}
		if len(d.waiting) > 0 || !d.Idle() || d.bytes != 0 || !d.Deadline().IsZero() || len(d.instances) > 0 {
			t.Fatalf("%s is left: %d wait, %d bytes, deadline %s", d.state, len(d.waiting), d.bytes, d.Deadline())
		}
	})
}

// walker draws events.
type walker struct {
	*driver
	ids         []string // that were given out
	last        int32
	generations map[string]int32 // that members know
}

func (w *walker) step(t *rapid.T) {
	id := rapid.SampledFrom(append([]string{"", "nobody"}, w.ids...)).Draw(t, "id")
	instance := rapid.SampledFrom([]string{"", "", "", "i", "j"}).Draw(t, "instance")
	generation := w.generations[id] + int32(rapid.SampledFrom([]int{0, 0, 0, 0, -1, 1}).Draw(t, "off"))
	switch rapid.IntRange(0, 9).Draw(t, "event") {
	case 0, 1, 2, 3:
		r := consumerJoin(id)
		r.InstanceID, r.AsksForID = instance, rapid.Bool().Draw(t, "asks")
		r.SkipsAssigned = rapid.Bool().Draw(t, "skips")
		size := rapid.SampledFrom([]int{1, 1, 1, 40, 400}).Draw(t, "size")
		r.Protocols = []Protocol{{"range", make([]byte, size)}}
		r.SessionTimeout = time.Duration(rapid.IntRange(1, 9).Draw(t, "session")) * time.Second
		r.RebalanceTimeout = time.Duration(rapid.IntRange(1, 9).Draw(t, "rebalance")) * time.Second
		if m := w.members[id]; m != nil && instance == m.instance && size <= len(m.protocols[0].Metadata) {
			r.Spare = 0 // no reason to refuse a member
		}
		ticket := w.sendJoin(r)
		if a, answered := w.joins[ticket]; answered && a.Err == kerr.GroupMaxSizeReached &&
			(r.Spare == 0 || size == 1 && len(w.members)+len(w.expected) < 3) {
			t.Fatalf("refused though there is room: %d members, %d expected, %d bytes", len(w.members), len(w.expected), w.bytes)
		}
	case 4, 5, 6:
		r := &SyncRequest{MemberID: id, InstanceID: instance, Generation: generation, Assignments: map[string][]byte{}}
		for _, m := range w.order {
			r.Assignments[m.id] = fmt.Append(nil, generation)
		}
		w.sendSync(r)
	case 7:
		w.Heartbeat(w.now, Identity{id, instance}, generation)
		w.MayCommit(w.now, Committer{MemberID: id, InstanceID: instance, Generation: generation})
	case 8:
		if waiting := slices.Sorted(maps.Keys(w.waiting)); len(waiting) > 0 && rapid.Bool().Draw(t, "abandon") {
			ticket := rapid.SampledFrom(waiting).Draw(t, "ticket")
			delete(w.waiting, ticket)
			w.Abandon(w.now, ticket)
		} else {
			w.Leave(w.now, Identity{id, instance})
		}
		w.collect()
	case 9:
		w.pass(time.Duration(rapid.IntRange(0, 6000).Draw(t, "millis")) * time.Millisecond)
	}
	w.learn(t)
}

// learn takes in what was answered, as members would.
func (w *walker) learn(t *rapid.T) {
	for ticket, a := range w.joins {
		if a.MemberID != "" && !slices.Contains(w.ids, a.MemberID) {
			w.ids = append(w.ids, a.MemberID)
		}
		if a.Err == nil {
			if a.Generation > w.generation {
				t.Fatalf("told of generation %d in %d", a.Generation, w.generation)
			}
			w.generations[a.MemberID] = a.Generation
		}
		delete(w.joins, ticket)
	}
	for ticket, a := range w.syncs {
		if a.Err == nil && a.Assignment != nil && string(a.Assignment) != fmt.Sprint(w.generation) {
			t.Fatalf("got the assignment of generation %s in %d", a.Assignment, w.generation)
		}
		delete(w.syncs, ticket)
	}
	slices.Sort(w.ids)
}

func (w *walker) check(t *rapid.T) {
	if w.generation < w.last {
		t.Fatalf("generation %d after %d", w.generation, w.last)
	}
	w.last = w.generation
	bytes := 0
	for _, m := range w.order {
		bytes += m.size()
		if w.members[m.id] != m || m.instance != "" && w.instances[m.instance] != m.id {
			t.Fatalf("the lists of members differ on %s", m.id)
		}
		if m.join != 0 && w.state != PreparingRebalance || m.sync != 0 && w.state != CompletingRebalance {
			t.Fatalf("in %s %s waits for Join %d, Sync %d", w.state, m.id, m.join, m.sync)
		}
	}
	if bytes != w.bytes || len(w.members) != len(w.order) {
		t.Fatalf("%d bytes, should be %d; %d members, %d in order", w.bytes, bytes, len(w.members), len(w.order))
	}
	if (w.state == Empty) != (len(w.members) == 0) && w.state != PreparingRebalance {
		t.Fatalf("%s with %d members", w.state, len(w.members))
	}
	if len(w.members) > 0 && w.members[w.leader] == nil {
		t.Fatalf("%q leads and is no member", w.leader)
	}
	if len(w.members)+len(w.expected) > w.limits.MaxMembers {
		t.Fatalf("%d members, %d expected", len(w.members), len(w.expected))
	}
}
