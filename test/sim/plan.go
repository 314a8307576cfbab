package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Fault is what happens to one call across the boundary of a process.
type Fault string

// Faults of calls.
const (
	None        Fault = ""
	LostRequest Fault = "lost request" // it never arrives; the caller gives up in the end
	LateRequest Fault = "late request" // it arrives when the caller has given up, perhaps minutes ago
	LostReply   Fault = "lost reply"   // it is done, and the caller gives up in the end
	Reset       Fault = "reset"        // it is done, and the caller gets an error at once
	Refused     Fault = "refused"      // it is not done, and the caller gets an error at once
	Repeated    Fault = "repeated"     // it is done twice
	Slow        Fault = "slow"         // it takes its time
)

var faults = []Fault{LostRequest, LateRequest, LostReply, Reset, Refused, Repeated, Slow}

// StrikeKind is something that happens to a process, or to a server.
type StrikeKind string

// Strikes.
const (
	Kill      StrikeKind = "kill"      // a process; it is started again after For
	Freeze    StrikeKind = "freeze"    // a process, for For
	Cut       StrikeKind = "cut"       // a process from Redis, for For
	CutAll    StrikeKind = "cut all"   // all processes from Redis, for For
	Storm     StrikeKind = "storm"     // the bucket refuses nearly all requests, for For
	Replicate StrikeKind = "replicate" // a replica is as current as it will be
	Wipe      StrikeKind = "wipe"      // Redis is emptied
	Restart   StrikeKind = "restart"   // Redis is restarted, and has kept its state
	Rewind    StrikeKind = "rewind"    // Redis is restarted with what it had at some Replicate
	Failover  StrikeKind = "failover"  // a replica of some Replicate takes over
	Split     StrikeKind = "split"     // the same, but some processes go on with the old server, for For
	Back      StrikeKind = "back"      // an old server takes over again, as it was left
	Skew      StrikeKind = "skew"      // Redis' clock jumps
	Clock     StrikeKind = "clock"     // a process is started again on a machine whose clock is wrong by For
	Recover   StrikeKind = "recover"   // somebody runs a recovery by hand
)

// Strike is one strike.
type Strike struct {
	At   time.Duration // since the beginning, or since that opening
	Open int           // of an incarnation, the first being 1, that it waits for; 0: none
	Kind StrikeKind
	On   int           // which process, replica or server; or opener
	For  time.Duration // how long
}

func (s Strike) String() string {
	text := fmt.Sprintf("%9s %s %d", s.At.Round(time.Millisecond), s.Kind, s.On)
	if s.On == opener {
		text = fmt.Sprintf("%9s %s the opener", s.At.Round(time.Millisecond), s.Kind)
	}
	if s.Open != 0 {
		text += fmt.Sprintf(", counted from opening %d", s.Open)
	}
	if s.For != 0 {
		text += " for " + s.For.Round(time.Millisecond).String()
	}
	return text
}

// Plan is all that one simulation is made of.
type Plan struct {
	Seed    uint64
	Nodes   int
	Length  time.Duration     // of the trouble
	Rates   map[Fault]float64 // of calls: how many of one
	Strikes []Strike
	Exact   map[string]Fault // if not nil: what happens to which call, and nothing happens to others

	Partitions int
	Idempotent int // producers of that kind
	Plain      int
	Keyed      int // HTTP clients
	Direct     int // functions
	Groups     int
	Readers    int  // of the bucket alone
	Admin      bool // topics grow, are deleted and made again, and so are records
	Cleanup    bool // nodes merge and collect
	Retention  int  // retention.bytes of the topic; 0: none
	Compact    bool // the topic is compacted
	Long       bool // goes on until garbage has to be gone

	Carry           int // bytes of the largest segment that the journal carries; 0: it carries none
	CommitDeadline  time.Duration
	Grace           time.Duration
	SnapshotObjects int
}

// NewPlan makes the plan of a seed.
func NewPlan(seed uint64) *Plan {
	d := dice{seed, "plan"}
	p := &Plan{Seed: seed, Nodes: 2 + d.n("nodes", 2), Rates: map[Fault]float64{}}
	switch longer := d.float("longer"); {
	case longer < 0.85:
		p.Length = d.between("length", time.Second, 8*time.Second)
	case longer < 0.97:
		p.Length = d.between("length", 10*time.Second, 40*time.Second)
	default:
		p.Length = d.between("length", time.Minute, 8*time.Minute)
	}
	rough := d.pick("rough", 0, 0.005, 0.015, 0.04)
	for _, f := range faults {
		if d.chance("any "+string(f), 0.5) {
			p.Rates[f] = rough * d.float("rate "+string(f))
		}
	}
	p.Partitions = 1 + d.n("partitions", 3)
	p.Idempotent, p.Plain, p.Keyed, p.Direct = 1+d.n("idempotent", 2), d.n("plain", 2), d.n("keyed", 2), d.n("direct", 2)
	p.Groups, p.Readers = d.n("groups", 3), d.n("readers", 2)
	p.Admin, p.Cleanup = d.chance("admin", 0.3), d.chance("cleanup", 0.5)
	p.CommitDeadline = []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute}[d.n("deadline", 3)]
	p.Grace = []time.Duration{20 * time.Second, 2 * time.Minute}[d.n("grace", 2)]
	p.Carry = int(d.pick("carry", 0, 300, 64<<10))
	p.SnapshotObjects = 3 + d.n("snapshots", 30)
	p.Long = p.Cleanup && p.CommitDeadline < time.Minute && d.chance("long", 0.15)
	switch policy := d.float("policy"); {
	case !p.Cleanup || policy >= 0.3:
	case policy < 0.15:
		p.Retention = 200 + d.n("retention", 2000)
	default:
		p.Compact = true
	}
	if (p.Retention > 0 || p.Compact) && d.chance("ripe", 0.5) { // nothing goes before it is older than the deadline
		p.CommitDeadline = 15 * time.Second
		p.Length = d.between("ripe for", 30*time.Second, 3*time.Minute)
	}
	for i := range d.n("strikes", 8) {
		s := p.strike(dice{seed, fmt.Sprint("strike ", i)})
		p.Strikes = append(p.Strikes, s)
		if d := (dice{seed, fmt.Sprint("strike behind ", i)}); d.chance("any", 0.3) { // trouble does not come alone
			next := p.strike(d)
			next.At = s.At + d.between("at", time.Millisecond, 6*time.Second)
			p.Strikes = append(p.Strikes, next)
		}
	}
	// what is worst for a recovery that has just opened: Redis forgets, and only one node is there to
	// notice
	if d.chance("pounce", 0.3) {
		open, at := 1+d.n("opening", 3), d.between("pounce at", 0, 5*time.Second)
		for i := range p.Nodes {
			p.Strikes = append(p.Strikes, Strike{At: at, Open: open, Kind: Freeze, On: i,
				For: d.between(fmt.Sprint("pounce for ", i), 0, 4*time.Second)})
		}
		p.Strikes = append(p.Strikes, Strike{At: at, Open: open,
			Kind: []StrikeKind{Wipe, Rewind, Restart}[d.n("pounce with", 3)], On: d.n("pounce on", 1000)})
	}
	if d.chance("ambush", 0.15) {
		p.ambush(dice{seed, "ambush"})
	}
	slices.SortStableFunc(p.Strikes, func(a, b Strike) int { return int(a.At - b.At) })
	return p
}

// opener stands for the node that made the opening that a strike waits for.
const opener = -1

// ambush is what is worst for the reply of an opening. Redis forgets everything, and the node that
// recovers freezes at the moment of its opening, until it has given up the reply. The others go on
// in what it opened, until Redis forgets once more and they freeze as well: so it may be the opener
// that wakes first.
func (p *Plan) ambush(d dice) {
	first, asleep := d.between("first", 0, p.Length), toRedis.patience+d.between("asleep", 0, 3*time.Second)
	open, again := 2+d.n("opening", 2), d.between("again", asleep/4, asleep)
	p.Length = max(p.Length, first+asleep+10*time.Second)
	p.Strikes = append(p.Strikes,
		Strike{At: first, Kind: Wipe},
		Strike{Open: open, Kind: Freeze, On: opener, For: asleep},
		Strike{At: again, Open: open, Kind: Wipe})
	for i := range p.Nodes {
		longer := d.between(fmt.Sprint("for ", i), 0, 6*time.Second)
		p.Strikes = append(p.Strikes, Strike{At: again, Open: open, Kind: Freeze, On: i, For: asleep - again + longer})
	}
}

// strikes are drawn from this list, in which some are more than once.
var strikes = []StrikeKind{Kill, Kill, Freeze, Freeze, Cut, CutAll, Storm, Replicate, Replicate,
	Wipe, Wipe, Restart, Rewind, Rewind, Failover, Failover, Split, Split, Back, Skew, Clock, Clock, Recover}

func (p *Plan) strike(d dice) Strike {
	s := Strike{Kind: strikes[d.n("kind", len(strikes))], On: d.n("on", 1000)}
	s.At = d.between("at", 0, p.Length)
	s.For = d.between("for", 10*time.Millisecond, 3*time.Second)
	switch s.Kind {
	case Freeze, Cut, Split:
		if d.chance("long", 0.5) {
			s.For = d.between("for", time.Second, 30*time.Second)
		}
		if d.chance("very long", 0.02) {
			s.For = d.between("for", 2*time.Minute, 3*time.Hour)
		}
	case Skew:
		s.For = d.between("by", -p.Grace/3, p.Grace/3)
	case Clock:
		by := time.Duration(d.pick("by about", 0, 0.5, 2, 10, 100) * float64(p.CommitDeadline)) // 0: right again
		s.For = d.between("by", -by, by)
	case Replicate, Wipe, Restart, Rewind, Failover, Back, Recover:
		s.For = 0
	}
	return s
}

// createTopic makes the topic that all clients work with.
func (p *Plan) createTopic() coordinator.Change {
	t := &coordinator.CreateTopic{ID: segments.NewTopicID(), Name: topicName, Partitions: int32(p.Partitions)}
	switch {
	case p.Compact:
		t.Configs = map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}
	case p.Retention > 0:
		t.Configs = map[string]string{"retention.bytes": strconv.Itoa(p.Retention)}
	}
	return coordinator.Change{CreateTopic: t}
}

// String shows a plan.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes, %s, %d partitions; clients: %d idempotent, %d plain, %d keyed, %d direct, "+
		"%d groups, %d readers; admin %v, cleanup %v, retention %d, compact %v, long %v; deadline %s, grace %s, "+
		"snapshots each %d",
		p.Seed, p.Nodes, p.Length.Round(time.Millisecond), p.Partitions, p.Idempotent, p.Plain, p.Keyed, p.Direct, p.Groups,
		p.Readers, p.Admin, p.Cleanup, p.Retention, p.Compact, p.Long,
		p.CommitDeadline, p.Grace, p.SnapshotObjects)
	for _, s := range p.Strikes {
		fmt.Fprintf(&b, "\n  %s", s)
	}
	if p.Exact == nil {
		for _, f := range faults {
			if p.Rates[f] > 0 {
				fmt.Fprintf(&b, "\n  %.4f of calls: %s", p.Rates[f], f)
			}
		}
	}
	var calls []string
	for c, f := range p.Exact {
		calls = append(calls, fmt.Sprintf("\n  %s: %s", c, f))
	}
	slices.Sort(calls)
	b.WriteString(strings.Join(calls, ""))
	return b.String()
}
