// Package history judges what clients of a log saw. It knows nothing of servers, clients or time:
// it is told what was sent, what was acknowledged and what was read, in the order in which that
// became known, and says what must not have happened.
//
// A record that was sent and neither acknowledged nor seen may have happened or not. Both are
// right, but once it has been seen at an offset it has to stay there.
package history

import (
	"fmt"
	"slices"
	"sync"
)

// Record is a record as its producer numbered it.
type Record struct {
	Producer int32
	Number   int64  // 0, 1, 2, … of what this producer sent to this partition
	Hash     uint64 // of key and value
}

// Kind is what is wrong.
type Kind string

// What must not happen.
const (
	Moved     Kind = "moved"     // two different records at one offset
	Lost      Kind = "lost"      // acknowledged or served, and not there at the end
	Duplicate Kind = "duplicate" // one record at two offsets
	Reordered Kind = "reordered" // a producer's later record lies before an earlier one
	Hole      Kind = "hole"      // an offset that a reader was not given
	Foreign   Kind = "foreign"   // a record that nobody sent, or sent otherwise, or to another partition
	Rewound   Kind = "rewound"   // the high watermark lies below a record that was acknowledged or served
)

// Fault is one thing that must not happen and did.
type Fault struct {
	Kind      Kind
	Partition int32
	Offset    int64
	Detail    string
	Phase     string // in which the record was acknowledged, or else in which this was noticed
}

func (f Fault) String() string {
	s := fmt.Sprintf("%s: partition %d offset %d: %s", f.Kind, f.Partition, f.Offset, f.Detail)
	if f.Phase != "" {
		s += ", during " + f.Phase
	}
	return s
}

// maxFaults is how many faults are kept in full; all are counted.
const maxFaults = 20

// Checker takes a history in and judges it. Its methods may be called concurrently.
type Checker struct {
	retries bool // clients without idempotence: what was in flight at a strike may be there twice

	mu     sync.Mutex
	age    int32 // grows with each beginning and each end of a strike: odd during one
	sent   map[stream][]outcome
	logs   map[int32][]slot
	phase  int32 // the present one
	phases []string
	report Report
}

// stream is what one producer sends to one partition.
type stream struct {
	producer  int32
	partition int32
}

// outcome is what is known of one record that was sent.
type outcome struct {
	hash     uint64
	sent     int32 // the age in which it was sent
	answered int32 // the age in which it was acknowledged; -1: not acknowledged
	phase    int32 // and the phase
	found    bool  // by Finish
}

// slot is what is known of one offset.
type slot struct {
	record Record
	taken  bool
}

// New returns a checker. With retries, a record that was in flight when the server was struck may
// be there more than once: that is what producers without idempotence do.
func New(retries bool) *Checker {
	return &Checker{
		retries: retries,
		sent:    map[stream][]outcome{},
		logs:    map[int32][]slot{},
		phases:  []string{""},
		report:  Report{Faults: map[Kind]int{}, Phases: map[string]*Phase{"": newPhase()}},
	}
}

// Begin begins a phase: what happens from now on counts for that name. A name may come again.
func (c *Checker) Begin(phase string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.phases, phase)
	if at < 0 {
		at = len(c.phases)
		c.phases = append(c.phases, phase)
		c.report.Phases[phase] = newPhase()
	}
	c.phase = int32(at)
}

// counts are those of a phase.
func (c *Checker) counts(phase int32) *Phase { return c.report.Phases[c.phases[phase]] }

// Sent says that a record is about to be sent: from now on it may have happened. A producer's
// records for one partition are numbered without gaps.
func (c *Checker) Sent(partition int32, r Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := stream{r.Producer, partition}
	if int64(len(c.sent[s])) != r.Number {
		panic(fmt.Sprintf("history: producer %d sends number %d to partition %d after %d others", r.Producer, r.Number,
			partition, len(c.sent[s])))
	}
	c.sent[s] = append(c.sent[s], outcome{hash: r.Hash, sent: c.age, answered: -1})
	c.report.Sent++
}

// Acknowledged says that the server has promised the record that offset. A negative offset means
// that it did not say which.
func (c *Checker) Acknowledged(partition int32, r Record, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Acknowledged++
	c.counts(c.phase).Acknowledged++
	o := &c.sent[stream{r.Producer, partition}][r.Number]
	o.answered, o.phase = c.age, c.phase
	if offset >= 0 {
		c.take(partition, offset, r, "acknowledged")
	}
}

// Strike says that the server is about to be killed, or stopped, or fenced, and Struck that this is
// over: what is sent meanwhile, and what was sent before and is answered after, may have been sent
// twice.
func (c *Checker) Strike() { c.passTime() }

// Struck ends what Strike began.
func (c *Checker) Struck() { c.passTime() }

func (c *Checker) passTime() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age++
}

// Known is the end of what is known to be in a partition, and when it was known.
type Known struct {
	End int64
	age int32
}

// Known returns what is known of the partition.
func (c *Checker) Known(partition int32) Known {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Known{int64(len(c.logs[partition])), c.age}
}

// End says that the server gave end as the partition's high watermark, when asked after known had
// been Known. During a strike an answer may come from a server that has been fenced and does not
// know it yet, so nothing is made of it.
func (c *Checker) End(partition int32, known Known, end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if end < known.End && known.age == c.age && c.age%2 == 0 {
		c.fault(Rewound, c.phase, partition, end, "the end lies below %d, which is known to be there", known.End)
	}
}

// SoFar is the report before anything was read back: what is missing is not known yet.
func (c *Checker) SoFar() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report
}

// retriable says whether an honest client may have sent the record twice.
func (o outcome) retriable() bool { return o.sent%2 == 1 || o.answered != o.sent }

// take has record r at an offset, for ever.
func (c *Checker) take(partition int32, offset int64, r Record, how string) {
	log := c.logs[partition]
	if offset >= int64(len(log)) {
		if offset > 10*(c.report.Sent+1000) { // retries explain no more than that, and memory is finite
			c.fault(Hole, c.phase, partition, offset, "%s, but only %d records were ever sent", how, c.report.Sent)
			return
		}
		log = append(log, make([]slot, offset+1-int64(len(log)))...)
		c.logs[partition] = log
	}
	switch s := &log[offset]; {
	case !s.taken:
		*s = slot{r, true}
	case s.record != r:
		c.fault(Moved, c.phase, partition, offset, "%s as %v, was %v", how, r, s.record)
	}
}

// fault notes what is wrong, and counts it for a phase.
func (c *Checker) fault(kind Kind, phase, partition int32, offset int64, format string, args ...any) {
	c.report.Faults[kind]++
	c.counts(phase).Faults[kind]++
	if len(c.report.First) < maxFaults {
		c.report.First = append(c.report.First, Fault{kind, partition, offset, fmt.Sprintf(format, args...), c.phases[phase]})
	}
}

// Reader is one consumer's way through the partitions.
type Reader struct {
	Tell func(partition int32, offset int64, record Record) // of what it is given; nil: nobody

	c    *Checker
	name string
	next map[int32]int64
}

// Reader returns a new reader. It is for one goroutine.
func (c *Checker) Reader(name string) *Reader {
	return &Reader{c: c, name: name, next: map[int32]int64{}}
}

// Seek says that the reader asks for offset next. Without it, a reader begins at offset 0.
func (r *Reader) Seek(partition int32, offset int64) { r.next[partition] = offset }

// Read says that the reader was given a record.
func (r *Reader) Read(partition int32, offset int64, record Record) {
	if r.Tell != nil {
		r.Tell(partition, offset, record)
	}
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Read++
	c.counts(c.phase).Read++
	if next := r.next[partition]; offset != next {
		c.fault(Hole, c.phase, partition, offset, "%s was given it where %d should have come", r.name, next)
	}
	r.next[partition] = offset + 1

	sent := c.sent[stream{record.Producer, partition}]
	if record.Number < 0 || record.Number >= int64(len(sent)) || sent[record.Number].hash != record.Hash {
		c.fault(Foreign, c.phase, partition, offset, "%s was given %v, which was not sent here", r.name, record)
		return
	}
	c.take(partition, offset, record, r.name+" saw it")
}

// Next is the offset that the reader expects next.
func (r *Reader) Next(partition int32) int64 { return r.next[partition] }
