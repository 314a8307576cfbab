package protocol

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// SharePartition is how far a share group (KIP-932) is with one partition: a transition function,
// like the kinds of groups. Every record below start is finished; runs tell of those from start to
// end; what lies behind has never been delivered.
type SharePartition struct {
	Start   int64
	runs    []shareRun
	trimmed int64 // records below were taken away, by the log or an administrator

	version, kept uint64 // of what export tells; kept is the version that is a fact
}

// shareRun is neighbouring records of which the same is known.
type shareRun struct {
	first, last int64
	state       recordState
	count       int16 // how often they were delivered, the delivery that they are in included
	lock        *shareLock
	busy        bool // they are acquired, and an acknowledgement is being decided: else nothing happens
}

// shareLock is an acquisition: until then the records are the member's.
type shareLock struct {
	member string
	until  time.Time
	lasts  time.Duration // what was asked for: ShareAcquisition.Lock
}

// recordState is what is to become of a record. Kafka tells the finished ones apart, as
// acknowledged and archived; nothing depends on it.
type recordState uint8

const (
	recordAvailable recordState = iota
	recordAcquired
	recordFinished
)

// ShareRules are the configs of a share group that its partitions go by.
type ShareRules struct {
	Lock       time.Duration // share.record.lock.duration.ms
	Deliveries int           // share.delivery.count.limit
	MaxLocks   int           // share.partition.max.record.locks
}

// LogRange is offsets of a log from First to Last.
type LogRange struct{ First, Last int64 }

// AcquiredRange is records that a member has acquired together.
type AcquiredRange struct {
	LogRange
	Deliveries int16 // how often they were delivered, this time included
}

// ShareAck is what a member says of records that it acquired. Types has one element for all of
// them, or one for each.
type ShareAck struct {
	LogRange
	Types []AckType
	Lock  time.Duration // of what is renewed; 0: as when it was acquired
}

// AckType is what is to become of a record.
type AckType int8

// The types of acknowledgements. A gap is an offset without a record for the member.
const (
	AckGap AckType = iota
	AckAccept
	AckRelease
	AckReject
	AckRenew
)

// NewSharePartition returns a partition of which nothing was delivered, and that begins there.
func NewSharePartition(start int64) *SharePartition { return &SharePartition{Start: start} }

// End is the first offset that was never delivered.
func (p *SharePartition) End() int64 {
	if n := len(p.runs); n > 0 {
		return p.runs[n-1].last + 1
	}
	return p.Start
}

// Next is the first offset from which something may be acquired.
func (p *SharePartition) Next() int64 {
	for i := range p.runs {
		if r := &p.runs[i]; r.state == recordAvailable {
			return r.first
		}
	}
	return p.End()
}

// InFlight is how many records were delivered and are not finished.
func (p *SharePartition) InFlight() (n int) {
	for i := range p.runs {
		if r := &p.runs[i]; r.state != recordFinished {
			n += int(r.last - r.first + 1)
		}
	}
	return n
}

// Finished is how many records behind start are.
func (p *SharePartition) Finished() (n int64) {
	for i := range p.runs {
		if r := &p.runs[i]; r.state == recordFinished {
			n += r.last - r.first + 1
		}
	}
	return n
}

// Full says that nothing can be acquired before members acknowledge something. In a crowded group
// nothing is that was never delivered.
func (p *SharePartition) Full(rules *ShareRules, crowded bool) bool {
	return p.Next() == p.End() && (crowded || p.InFlight() >= rules.MaxLocks)
}

// ShareAcquisition is what a member that has read a log wants of it.
type ShareAcquisition struct {
	Member   string
	From, To int64         // what was read
	Batches  []LogRange    // with records for members, in order; there are none elsewhere in what was read
	Most     int           // records
	Exactly  bool          // not one more; otherwise whole batches (KIP-1206)
	Split    int           // about how many records a range of the answer is to have; 0: any number
	Lock     time.Duration // 0: as the group's config says
}

// Acquire gives a member records that are available, or were never delivered.
func (p *SharePartition) Acquire(now time.Time, a *ShareAcquisition, rules *ShareRules) (got []AcquiredRange) {
	lock := &shareLock{member: a.Member, until: now.Add(cmp.Or(a.Lock, rules.Lock)), lasts: a.Lock}
	behind, left := max(a.From, p.Start), a.Most // behind: the offset after the last that was looked at
	for _, b := range a.Batches {
		if left <= 0 {
			break
		}
		if b.Last < behind {
			continue
		}
		p.finish(behind, b.First-1)
		part := LogRange{max(b.First, behind), b.Last}
		if room := int64(max(rules.MaxLocks-p.InFlight(), 0)); a.Exactly || room == 0 {
			part.Last = min(part.Last, p.End()+room-1)
		}
		most := left
		if !a.Exactly {
			most = max(most, int(part.Records()))
		}
		ranges, taken := p.acquireRange(part, most, lock)
		got = appendRanges(got, ranges, a.Split)
		left -= taken
		if part.Last < b.Last || left == 0 && a.Exactly {
			p.tidy()
			return got
		}
		behind = b.Last + 1
	}
	if left > 0 {
		p.finish(behind, a.To)
	}
	p.tidy()
	return got
}

// acquireRange acquires what it can of some offsets.
func (p *SharePartition) acquireRange(of LogRange, most int, lock *shareLock) (got []AcquiredRange, taken int) {
	if of.Last < of.First {
		return nil, 0
	}
	p.extend(of.Last)
	p.cut(of.First)
	p.cut(of.Last + 1)
	for i := p.index(of.First); i < len(p.runs) && p.runs[i].first <= of.Last && taken < most; i++ {
		r := &p.runs[i]
		if r.state != recordAvailable {
			continue
		}
		if left := int64(most - taken); r.last-r.first+1 > left {
			p.cut(r.first + left)
			r = &p.runs[i]
		}
		r.state, r.count, r.lock = recordAcquired, r.count+1, lock
		taken += int(r.last - r.first + 1)
		got = append(got, AcquiredRange{LogRange{r.first, r.last}, r.count})
	}
	return got, taken
}

// appendRanges appends what was acquired of one batch to what was acquired of those before.
// Neighbours become one range until it is long enough.
func appendRanges(all, more []AcquiredRange, split int) []AcquiredRange {
	for i, r := range more {
		if n := len(all); n > 0 && all[n-1].Last+1 == r.First && all[n-1].Deliveries == r.Deliveries &&
			(i > 0 || split == 0 || all[n-1].Records() < int64(split)) {
			all[n-1].Last = r.Last
			continue
		}
		all = append(all, r)
	}
	return all
}

// Records is how many offsets the range has.
func (r LogRange) Records() int64 { return r.Last - r.First + 1 }

// extend makes every offset up to last one that runs tell of.
func (p *SharePartition) extend(last int64) {
	if from := p.End(); last >= from {
		p.runs = append(p.runs, shareRun{first: from, last: last})
	}
}

// finish makes offsets finished for which nobody is, if nobody has them.
func (p *SharePartition) finish(first, last int64) {
	first = max(first, p.Start)
	if last < first {
		return
	}
	p.extend(last)
	p.cut(first)
	p.cut(last + 1)
	for i := p.index(first); i < len(p.runs) && p.runs[i].first <= last; i++ {
		if r := &p.runs[i]; r.state == recordAvailable {
			r.state = recordFinished
			p.version++
		}
	}
}

// index is where the first run is that does not end before an offset.
func (p *SharePartition) index(at int64) int {
	i, _ := slices.BinarySearchFunc(p.runs, at, func(r shareRun, at int64) int { return cmp.Compare(r.last, at) })
	return i
}

// cut sees to it that a run begins at an offset, if runs tell of it.
func (p *SharePartition) cut(at int64) {
	i := p.index(at)
	if i == len(p.runs) || p.runs[i].first >= at {
		return
	}
	behind := p.runs[i]
	behind.first = at
	p.runs[i].last = at - 1
	p.runs = slices.Insert(p.runs, i+1, behind)
}

// tidy makes neighbours of which the same is known one run, moves start over what is finished, and
// forgets what was never delivered at the end.
func (p *SharePartition) tidy() {
	kept := p.runs[:0]
	for _, r := range p.runs {
		if r.state == recordFinished {
			r.lock, r.count = nil, 0
			if len(kept) == 0 {
				p.Start = r.last + 1
				continue
			}
		}
		if n := len(kept); n > 0 && kept[n-1].state == r.state && kept[n-1].count == r.count &&
			kept[n-1].lock == r.lock && kept[n-1].busy == r.busy {
			kept[n-1].last = r.last
			continue
		}
		kept = append(kept, r)
	}
	if n := len(kept); n > 0 && kept[n-1].state == recordAvailable && kept[n-1].count == 0 {
		kept = kept[:n-1]
	}
	clear(p.runs[len(kept):])
	p.runs = kept
}

// Check says whether a member may acknowledge records. What was trimmed may be acknowledged
// without effect.
func (p *SharePartition) Check(now time.Time, member string, acks []ShareAck) *kerr.Error {
	before := int64(-1)
	for i := range acks {
		a := &acks[i]
		if a.First <= before || a.Last < a.First ||
			len(a.Types) != 1 && int64(len(a.Types)) != a.Last-a.First+1 {
			return kerr.InvalidRequest
		}
		if slices.ContainsFunc(a.Types, func(t AckType) bool { return t < AckGap || t > AckRenew }) {
			return kerr.InvalidRequest
		}
		before = a.Last
		covered := max(a.First, p.trimmed)
		for j := p.index(covered); j < len(p.runs) && p.runs[j].first <= a.Last; j++ {
			r := &p.runs[j]
			if r.first > covered || r.state != recordAcquired || r.busy || r.lock.member != member ||
				!now.Before(r.lock.until) {
				return kerr.InvalidRecordState
			}
			covered = r.last + 1
		}
		if covered <= a.Last {
			return kerr.InvalidRecordState
		}
	}
	return nil
}

// acknowledge does what a member says of records. They were checked.
func (p *SharePartition) acknowledge(now time.Time, acks []ShareAck, rules *ShareRules) {
	for i := range acks {
		a := &acks[i]
		p.cut(max(a.First, p.Start))
		p.cut(a.Last + 1)
		if len(a.Types) > 1 {
			for at := max(a.First, p.Start) + 1; at <= a.Last; at++ {
				if a.Types[at-a.First] != a.Types[at-a.First-1] {
					p.cut(at)
				}
			}
		}
		lock := (*shareLock)(nil)
		for j := p.index(a.First); j < len(p.runs) && p.runs[j].first <= a.Last; j++ {
			r := &p.runs[j]
			if r.state != recordAcquired {
				continue
			}
			r.busy = false
			switch t := a.Types[min(r.first-a.First, int64(len(a.Types)-1))]; t {
			case AckRenew:
				if lasts := cmp.Or(a.Lock, r.lock.lasts); lock == nil || lock.lasts != lasts {
					lock = &shareLock{r.lock.member, now.Add(cmp.Or(lasts, rules.Lock)), lasts}
				}
				r.lock = lock
			case AckRelease:
				r.release(rules)
			default:
				r.state = recordFinished
			}
		}
	}
	p.tidy()
}

// release gives acquired records back. Those that were delivered as often as they may be are
// finished.
func (r *shareRun) release(rules *ShareRules) {
	r.lock, r.state = nil, recordAvailable
	if int(r.count) >= rules.Deliveries {
		r.state = recordFinished
	}
}

// mark says of records that an acknowledgement is being decided, or no longer.
func (p *SharePartition) mark(acks []ShareAck, busy bool) {
	for i := range acks {
		p.cut(acks[i].First)
		p.cut(acks[i].Last + 1)
		for j := p.index(acks[i].First); j < len(p.runs) && p.runs[j].first <= acks[i].Last; j++ {
			if r := &p.runs[j]; r.state == recordAcquired {
				r.busy = busy
			}
		}
	}
	if !busy {
		p.tidy()
	}
}

// releaseAll gives back what the chosen locks hold, and says how many records that are. If nobody
// was told of them they were not delivered.
func (p *SharePartition) releaseAll(rules *ShareRules, told bool, chosen func(*shareLock) bool) (n int64) {
	for i := range p.runs {
		if r := &p.runs[i]; r.state == recordAcquired && !r.busy && chosen(r.lock) {
			if !told {
				r.count--
			}
			r.release(rules)
			n += r.last - r.first + 1
		}
	}
	if n > 0 {
		p.version++
		p.tidy()
	}
	return n
}

// expire gives back what was acquired for too long.
func (p *SharePartition) expire(now time.Time, rules *ShareRules) int64 {
	return p.releaseAll(rules, true, func(l *shareLock) bool { return !now.Before(l.until) })
}

// deadline is when expire has something to do, zero for never.
func (p *SharePartition) deadline() (first time.Time) {
	for i := range p.runs {
		if r := &p.runs[i]; r.state == recordAcquired && !r.busy && (first.IsZero() || r.lock.until.Before(first)) {
			first = r.lock.until
		}
	}
	return first
}

// held says whether a record is acquired by somebody.
func (p *SharePartition) held() bool {
	return slices.ContainsFunc(p.runs, func(r shareRun) bool { return r.state == recordAcquired })
}

// Trim makes all records below an offset finished, whoever has them: they are no longer in the log.
func (p *SharePartition) Trim(to int64) {
	if to <= p.Start {
		return
	}
	p.cut(to)
	p.runs = slices.DeleteFunc(p.runs, func(r shareRun) bool { return r.first < to })
	p.Start, p.trimmed = to, max(p.trimmed, to)
	p.version++
	p.tidy()
}

// PlannedAcks are acknowledgements that are being decided.
type PlannedAcks struct {
	partition *SharePartition
	acks      []ShareAck
	at        time.Time
	version   uint64 // of the partition then
}

// Plan says that acknowledgements, which were checked, are being decided.
func (p *SharePartition) Plan(now time.Time, acks []ShareAck) *PlannedAcks {
	p.mark(acks, true)
	return &PlannedAcks{partition: p, acks: acks, at: now, version: p.version}
}

// Stores says whether there is anything to store: renewals are not.
func (a *PlannedAcks) Stores() bool {
	return slices.ContainsFunc(a.acks, func(ack ShareAck) bool {
		return slices.ContainsFunc(ack.Types, func(t AckType) bool { return t != AckRenew })
	})
}

// Settle does what was decided.
func (a *PlannedAcks) Settle(s *ShareGroup, decided bool) {
	p := a.partition
	if !decided {
		p.mark(a.acks, false)
		s.Wake(p.deadline())
		return
	}
	p.acknowledge(a.at, a.acks, &s.Rules)
	s.Wake(p.deadline())
	if !a.Stores() {
		return
	}
	same := p.version == a.version
	if p.version++; same {
		p.kept = p.version
	}
}

// Unstored are the partitions of a share group of which something else is stored than is known.
type Unstored struct {
	Offsets  []coordinator.GroupOffset
	versions map[*SharePartition]uint64
}

// Unstored returns what of a share group's partitions is to be stored.
func (g *Group) Unstored() *Unstored {
	u := &Unstored{}
	s, is := g.kind.(*ShareGroup)
	if !is {
		return u
	}
	u.versions = map[*SharePartition]uint64{}
	for at, p := range s.Partitions {
		if p.kept != p.version {
			u.versions[p] = p.version
			u.Offsets = append(u.Offsets, p.Stored(at))
		}
	}
	return u
}

// Kept notes that this is stored.
func (u *Unstored) Kept() {
	for p, version := range u.versions {
		p.kept = max(p.kept, version)
	}
}

// After is what is to be stored when members have acknowledged this.
func (p *SharePartition) After(now time.Time, acks []ShareAck, rules *ShareRules) *SharePartition {
	next := &SharePartition{Start: p.Start, runs: slices.Clone(p.runs)}
	next.acknowledge(now, acks, rules)
	return next
}

// What is stored of a partition is an offset, where it starts, and text: a name of the format, and
// for each run how many records it has, whether they are finished ("f") or not ("a"), and how often
// they were delivered. Records that are acquired are stored as what they were before: available,
// and delivered once less.

const shareFormat = "firn-share-1:"

// export returns what is to be stored.
func (p *SharePartition) export() (start int64, text string) {
	stored := SharePartition{Start: p.Start, runs: slices.Clone(p.runs)}
	for i := range stored.runs {
		if r := &stored.runs[i]; r.state == recordAcquired {
			r.state, r.count, r.lock = recordAvailable, r.count-1, nil
		}
		stored.runs[i].busy = false
	}
	stored.tidy()
	b := []byte(shareFormat)
	for _, r := range stored.runs {
		b = strconv.AppendInt(b, r.last-r.first+1, 10)
		if r.state == recordFinished {
			b = append(b, 'f')
			continue
		}
		b = strconv.AppendInt(append(b, 'a'), int64(r.count), 10)
		b = append(b, ' ')
	}
	return p.Start, string(b)
}

// Stored is what is to be stored, as a fact.
func (p *SharePartition) Stored(at segments.Partition) coordinator.GroupOffset {
	start, text := p.export()
	return coordinator.GroupOffset{Partition: at, Offset: start, LeaderEpoch: -1, Metadata: text}
}

// StoredProgress says from what is stored of a partition where a share group is with it, when its
// log begins there: the first record that is not finished, and how many behind it are. False: it is
// not stored by a share group.
func StoredProgress(offset int64, text string, logStart int64) (start, finished int64, shared bool) {
	if !strings.HasPrefix(text, shareFormat) {
		return 0, 0, false
	}
	p, err := RestoreSharePartition(offset, text)
	if err != nil {
		return 0, 0, false
	}
	p.Trim(logStart)
	return p.Start, p.Finished(), true
}

var errShareText = errors.New("this is not what is stored of a share group's partition")

// RestoreSharePartition is the inverse of export.
func RestoreSharePartition(start int64, text string) (*SharePartition, error) {
	rest, ours := strings.CutPrefix(text, shareFormat)
	if !ours || start < 0 {
		return nil, fmt.Errorf("%w: %.40q at %d", errShareText, text, start)
	}
	p := NewSharePartition(start)
	for rest != "" {
		i := strings.IndexAny(rest, "fa")
		if i < 0 {
			return nil, errShareText
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		first := p.End()
		if err != nil || n < 1 || first+n < first {
			return nil, errShareText
		}
		r := shareRun{first: first, last: first + n - 1, state: recordFinished}
		finished := rest[i] == 'f'
		rest = rest[i+1:]
		if !finished {
			count, behind, found := strings.Cut(rest, " ")
			c, err := strconv.ParseInt(count, 10, 16)
			if err != nil || !found || c < 0 {
				return nil, errShareText
			}
			r.state, r.count, rest = recordAvailable, int16(c), behind
		}
		p.runs = append(p.runs, r)
	}
	p.tidy()
	return p, nil
}
