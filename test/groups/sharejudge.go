package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// shareJudge collects what members of a share group say, and says whether its promises were kept:
// every record that was written is accepted, and none is delivered again without a reason.
type shareJudge struct {
	lock time.Duration // for which a member has a record

	mu      sync.Mutex
	records [][]shareRecord // by partition and offset
	done    int             // of which the server has said that it is accepted
	batches map[string]*shareBatch
	strikes []shareStrike
	errors  map[string]int // that members were shown
}

type shareRecord struct {
	number     int // that was written, from 1 on; 0: not known
	deliveries []delivery
	accepted   bool // the server has said so
}

// delivery is one record in what a member was given.
type delivery struct {
	batch  *shareBatch
	count  int
	number int
	accept bool // otherwise the member was about to release it
}

// shareBatch is what a member was given by one poll.
type shareBatch struct {
	member       string
	at, answered int64            // nanoseconds; 0: the member was told nothing
	refused      map[int32]string // partitions of which it was told that its word was not taken
	failed       bool             // it was shown an error, and no answer
	places       []sharePlace     // of records; until it is answered
}

type sharePlace struct {
	partition int32
	offset    int64
}

// Reasons why a record may be delivered again.
const (
	released        = "released"
	consumerStopped = "its consumer was stopped until its lock ran out"
	consumerKilled  = "its consumer was killed"
	redisWiped      = "Redis was wiped"
	nodeKilled      = "a node was killed"
	ownerMoved      = "the group moved to another node"
	lockRanOut      = "its lock ran out"
)

// byPrecedence is which strike is named of several that explain the same.
var byPrecedence = []string{consumerStopped, consumerKilled, redisWiped, nodeKilled, ownerMoved}

// shareStrike is what may have records delivered again that were out while it went on.
type shareStrike struct {
	reason   string
	member   string // that was killed
	from, to int64  // nanoseconds; of consumerKilled it begins only
	facts    bool   // it took the coordinator with it, and so what was answered and not journaled yet
}

const (
	// printing is how long a member may take from when it has a record, or is told something, to its
	// line.
	printing = 3 * time.Second
	// journaled is how old what was answered has to be, not to get lost with the coordinator. It is a
	// second, and another one for a busy machine.
	journaled = 2 * time.Second
)

func newShareJudge(partitions int, lock time.Duration) *shareJudge {
	return &shareJudge{lock: lock, records: make([][]shareRecord, partitions), batches: map[string]*shareBatch{},
		errors: map[string]int{}}
}

// record is the one at an offset.
func (j *shareJudge) record(partition int32, offset int64) *shareRecord {
	all := &j.records[partition]
	for int64(len(*all)) <= offset {
		*all = append(*all, shareRecord{})
	}
	return &(*all)[offset]
}

// wrote notes that the server has accepted a record.
func (j *shareJudge) wrote(partition int32, offset int64, number int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.record(partition, offset).number = number
}

// struck notes a strike.
func (j *shareJudge) struck(s shareStrike) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.strikes = append(j.strikes, s)
}

// accepted is how many records are done with.
func (j *shareJudge) accepted() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.done
}

// working says that a member has records, and was not answered yet.
func (j *shareJudge) working(member string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.batches[member]
	return b != nil && b.answered == 0 && !b.failed
}

// take implements listener.
func (j *shareJudge) take(event) {}

// line implements listener. members/java/src/main/java/ShareMember.java says what members print.
func (j *shareJudge) line(member, text string) error {
	fields := strings.Fields(text)
	last := len(fields) - 1
	if last < 2 || fields[last] != "." {
		return fmt.Errorf("%s printed half a line", member) // nobody asks, if it was killed
	}
	at, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return fmt.Errorf("%s printed %.100q", member, text)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch said := fields[2:last]; fields[1] {
	case "D":
		b := &shareBatch{member: member, at: at}
		j.batches[member] = b
		for _, one := range said {
			if err := j.delivered(b, one); err != nil {
				return fmt.Errorf("%s printed %q: %w", member, one, err)
			}
		}
	case "C":
		return j.answered(j.batches[member], at, said)
	case "E":
		if b := j.batches[member]; b != nil && b.answered == 0 {
			b.failed = true
		}
		j.errors[strings.Join(said, " ")]++
	}
	return nil
}

// delivered takes in one record of a member: partition/offset/count/number, and + or -.
func (j *shareJudge) delivered(b *shareBatch, text string) error {
	var partition int32
	var offset int64
	d := delivery{batch: b, accept: strings.HasSuffix(text, "+")}
	_, err := fmt.Sscanf(text, "%d/%d/%d/%d", &partition, &offset, &d.count, &d.number)
	if err != nil || int(partition) >= len(j.records) {
		return fmt.Errorf("%w: no such record", cmp.Or(err, strconv.ErrRange))
	}
	r := j.record(partition, offset)
	r.deliveries = append(r.deliveries, d)
	b.places = append(b.places, sharePlace{partition, offset})
	return nil
}

// answered takes in that a member was told what has become of its word.
func (j *shareJudge) answered(b *shareBatch, at int64, refused []string) error {
	b.answered, b.refused = at, map[int32]string{}
	for _, one := range refused {
		partition, name, _ := strings.Cut(one, ":")
		n, err := strconv.ParseInt(partition, 10, 32)
		if err != nil {
			return err
		}
		b.refused[int32(n)] = name
	}
	for _, place := range b.places {
		r := j.record(place.partition, place.offset)
		for i := range r.deliveries {
			d := &r.deliveries[i]
			if d.batch == b && d.accept && d.taken(place.partition) && !r.accepted {
				r.accepted = true
				j.done++
			}
		}
	}
	b.places = nil
	return nil
}

// taken says that the member was told that its word was taken.
func (d *delivery) taken(partition int32) bool {
	return d.batch.answered != 0 && d.batch.refused[partition] == ""
}

// since is from when a member had a record. One that was stopped prints what it had before, and is
// refused.
func (j *shareJudge) since(partition int32, d *delivery) int64 {
	b := d.batch
	for _, s := range j.strikes {
		if s.reason == consumerStopped && s.member == b.member && s.from <= b.at && b.at <= s.to+int64(printing) &&
			b.refused[partition] != "" {
			return s.from
		}
	}
	return b.at
}

// unheard says that a member's word may have been taken without its hearing so.
func (j *shareJudge) unheard(b *shareBatch, partition int32) bool {
	if b.answered != 0 {
		return b.refused[partition] != "" && b.refused[partition] != "InvalidRecordStateException"
	}
	return b.failed || slices.ContainsFunc(j.strikes, func(s shareStrike) bool {
		return s.reason == consumerKilled && s.member == b.member
	})
}

// why is the reason for which a record may be delivered again, empty if there is none.
func (j *shareJudge) why(partition int32, d, next *delivery) string {
	b, at, again := d.batch, j.since(partition, d), j.since(partition, next)
	taken := d.taken(partition)
	if taken && !d.accept {
		return released
	}
	until := again // then it was out no more
	if b.answered != 0 {
		until = min(again, b.answered)
	}
	ranOut := again-at >= int64(j.lock)/2 // the lock began before the member's line
	for _, s := range j.strikes {
		switch met := at <= s.to && until >= s.from; {
		case s.member != "" && s.member != b.member:
		case taken: // only the loss of the coordinator may undo it
			if s.facts && at <= s.from && b.answered >= s.from-int64(journaled) {
				return s.reason
			}
		case s.reason == consumerStopped && met && ranOut:
			return s.reason
		case s.reason == consumerKilled && s.from <= again:
			return s.reason
		case s.member == "" && met:
			return s.reason
		}
	}
	if !taken && ranOut {
		return lockRanOut
	}
	return ""
}

// forgotten is how many deliveries may be forgotten from one time to another: one with each owner,
// and with the coordinator those of its last second.
func (j *shareJudge) forgotten(from, to int64) (n int) {
	for _, s := range j.strikes {
		switch {
		case s.member != "" || from > s.to || to < s.from-int64(journaled):
		case s.facts:
			return math.MaxInt16
		case to >= s.from:
			n++
		}
	}
	return n
}

// struckBefore says that a strike explains why somebody may have been given a record and never
// printed it, before others were given it: until its lock ran out.
func (j *shareJudge) struckBefore(at int64) bool {
	return slices.ContainsFunc(j.strikes, func(s shareStrike) bool {
		return s.from <= at && at <= max(s.from, s.to)+2*int64(j.lock)
	})
}

// shareVerdict is what the judge found.
type shareVerdict struct {
	records int
	unheard int // accepted, and no member has heard the answer
	unseen  int // deliveries that no member has printed
	again   map[string]int
	faults  []string
	errors  map[string]int
}

func (v *shareVerdict) String() string {
	total, parts := 0, []string{}
	for _, reason := range slices.Sorted(maps.Keys(v.again)) {
		total += v.again[reason]
		parts = append(parts, fmt.Sprintf("%s %d", reason, v.again[reason]))
	}
	return fmt.Sprintf("%d records, %d of them accepted without an answer; %d delivered again (%s), %d deliveries "+
		"unseen; errors shown: %v; %d faults", v.records, v.unheard, total, strings.Join(parts, ", "), v.unseen, v.errors,
		len(v.faults))
}

// finish judges everything, once the group has nothing left.
func (j *shareJudge) finish() *shareVerdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	slices.SortStableFunc(j.strikes, func(a, b shareStrike) int {
		return cmp.Compare(slices.Index(byPrecedence, a.reason), slices.Index(byPrecedence, b.reason))
	})
	v := &shareVerdict{again: map[string]int{}, errors: j.errors}
	for partition := range j.records {
		for offset := range j.records[partition] {
			j.judge(v, int32(partition), offset)
		}
	}
	return v
}

// judge judges one record.
func (j *shareJudge) judge(v *shareVerdict, partition int32, offset int) {
	r := &j.records[partition][offset]
	fault := func(format string, args ...any) {
		v.faults = append(v.faults, fmt.Sprintf("record %d of partition %d ", offset, partition)+fmt.Sprintf(format, args...))
	}
	all := r.deliveries
	slices.SortStableFunc(all, func(a, b delivery) int {
		return cmp.Compare(j.since(partition, &a), j.since(partition, &b))
	})
	v.records++
	perhaps := false // a member may have accepted it without hearing so
	for i := range all {
		d := &all[i]
		perhaps = perhaps || d.accept && j.unheard(d.batch, partition)
		if r.number != 0 && d.number != r.number {
			fault("was written as %d and delivered as %d", r.number, d.number)
		}
		var before delivery
		if i > 0 {
			before = all[i-1]
		}
		if unseen := d.count - before.count - 1; unseen > 0 {
			v.unseen += unseen
			if !j.struckBefore(j.since(partition, d)) {
				fault("was delivered with count %d, and before with %d, and nothing was struck", d.count, before.count)
			}
		}
		if i == 0 {
			continue
		}
		if n := j.forgotten(j.since(partition, &before), j.since(partition, d)); d.count < before.count+1-n {
			fault("was delivered with count %d, and then with %d, of which %d may be forgotten", before.count, d.count, n)
		}
		reason := j.why(partition, &before, d)
		if reason == "" {
			fault("was delivered to %s (count %d, at %d, answered at %d %q), and to %s (count %d, at %d)", before.batch.member,
				before.count, before.batch.at, before.batch.answered, before.batch.refused[partition], d.batch.member, d.count,
				d.batch.at)
			continue
		}
		v.again[reason]++
	}
	switch {
	case r.accepted:
	case perhaps:
		v.unheard++
	default:
		fault("(number %d) was not accepted: it was delivered %d times", r.number, len(all))
	}
}
