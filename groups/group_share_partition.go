package groups

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// sharePartition is how far a share group (KIP-932) is with one partition: a transition function,
// like the kinds of groups. Every record below start is finished; runs tell of those from start to
// end; what lies behind has never been delivered.
type sharePartition struct {
	start   int64
	runs    []shareRun
	trimmed int64 // records below were taken away, by the log or an administrator

	version, stored uint64 // of what export tells; stored is the version that is a fact
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
}

// recordState is what is to become of a record. Kafka tells the finished ones apart, as
// acknowledged and archived; nothing depends on it.
type recordState uint8

const (
	recordAvailable recordState = iota
	recordAcquired
	recordFinished
)

// shareRules are the configs of a share group that its partitions go by.
type shareRules struct {
	lock       time.Duration // share.record.lock.duration.ms
	deliveries int           // share.delivery.count.limit
	maxLocks   int           // share.partition.max.record.locks
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

func newSharePartition(start int64) *sharePartition { return &sharePartition{start: start} }

// end is the first offset that was never delivered.
func (p *sharePartition) end() int64 {
	if n := len(p.runs); n > 0 {
		return p.runs[n-1].last + 1
	}
	return p.start
}

// next is the first offset from which something may be acquired.
func (p *sharePartition) next() int64 {
	for i := range p.runs {
		if r := &p.runs[i]; r.state == recordAvailable {
			return r.first
		}
	}
	return p.end()
}

// inFlight is how many records were delivered and are not finished.
func (p *sharePartition) inFlight() (n int) {
	for i := range p.runs {
		if r := &p.runs[i]; r.state != recordFinished {
			n += int(r.last - r.first + 1)
		}
	}
	return n
}

// finished is how many records behind start are.
func (p *sharePartition) finished() (n int64) {
	for i := range p.runs {
		if r := &p.runs[i]; r.state == recordFinished {
			n += r.last - r.first + 1
		}
	}
	return n
}

// full says that nothing can be acquired before members acknowledge something. In a crowded group
// nothing is that was never delivered.
func (p *sharePartition) full(rules *shareRules, crowded bool) bool {
	return p.next() == p.end() && (crowded || p.inFlight() >= rules.maxLocks)
}

// shareAcquisition is what a member that has read a log wants of it.
type shareAcquisition struct {
	member   string
	from, to int64      // what was read
	batches  []LogRange // with records for members, in order; there are none elsewhere in what was read
	most     int        // records
	exactly  bool       // not one more; otherwise whole batches (KIP-1206)
	split    int        // about how many records a range of the answer is to have; 0: any number
}

// acquire gives a member records that are available, or were never delivered.
func (p *sharePartition) acquire(now time.Time, a *shareAcquisition, rules *shareRules) (got []AcquiredRange) {
	lock := &shareLock{member: a.member, until: now.Add(rules.lock)}
	behind, left := max(a.from, p.start), a.most // behind: the offset after the last that was looked at
	for _, b := range a.batches {
		if left <= 0 {
			break
		}
		if b.Last < behind {
			continue
		}
		p.finish(behind, b.First-1)
		part := LogRange{max(b.First, behind), b.Last}
		if room := int64(max(rules.maxLocks-p.inFlight(), 0)); a.exactly || room == 0 {
			part.Last = min(part.Last, p.end()+room-1)
		}
		most := left
		if !a.exactly {
			most = max(most, int(part.records()))
		}
		ranges, taken := p.acquireRange(part, most, lock)
		got = appendRanges(got, ranges, a.split)
		left -= taken
		if part.Last < b.Last || left == 0 && a.exactly {
			p.tidy()
			return got
		}
		behind = b.Last + 1
	}
	if left > 0 {
		p.finish(behind, a.to)
	}
	p.tidy()
	return got
}

// acquireRange acquires what it can of some offsets.
func (p *sharePartition) acquireRange(of LogRange, most int, lock *shareLock) (got []AcquiredRange, taken int) {
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
			(i > 0 || split == 0 || all[n-1].records() < int64(split)) {
			all[n-1].Last = r.Last
			continue
		}
		all = append(all, r)
	}
	return all
}

func (r LogRange) records() int64 { return r.Last - r.First + 1 }

// extend makes every offset up to last one that runs tell of.
func (p *sharePartition) extend(last int64) {
	if from := p.end(); last >= from {
		p.runs = append(p.runs, shareRun{first: from, last: last})
	}
}

// finish makes offsets finished for which nobody is, if nobody has them.
func (p *sharePartition) finish(first, last int64) {
	first = max(first, p.start)
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
func (p *sharePartition) index(at int64) int {
	i, _ := slices.BinarySearchFunc(p.runs, at, func(r shareRun, at int64) int { return cmp.Compare(r.last, at) })
	return i
}

// cut sees to it that a run begins at an offset, if runs tell of it.
func (p *sharePartition) cut(at int64) {
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
func (p *sharePartition) tidy() {
	kept := p.runs[:0]
	for _, r := range p.runs {
		if r.state == recordFinished {
			r.lock, r.count = nil, 0
			if len(kept) == 0 {
				p.start = r.last + 1
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

// check says whether a member may acknowledge records. What was trimmed may be acknowledged
// without effect.
func (p *sharePartition) check(now time.Time, member string, acks []ShareAck) *kerr.Error {
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
func (p *sharePartition) acknowledge(now time.Time, acks []ShareAck, rules *shareRules) {
	for i := range acks {
		a := &acks[i]
		p.cut(max(a.First, p.start))
		p.cut(a.Last + 1)
		if len(a.Types) > 1 {
			for at := max(a.First, p.start) + 1; at <= a.Last; at++ {
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
				if lock == nil {
					lock = &shareLock{r.lock.member, now.Add(rules.lock)}
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
func (r *shareRun) release(rules *shareRules) {
	r.lock, r.state = nil, recordAvailable
	if int(r.count) >= rules.deliveries {
		r.state = recordFinished
	}
}

// mark says of records that an acknowledgement is being decided, or no longer.
func (p *sharePartition) mark(acks []ShareAck, busy bool) {
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

// releaseAll gives back what the chosen locks hold, and says how many records that are.
func (p *sharePartition) releaseAll(rules *shareRules, chosen func(*shareLock) bool) (n int64) {
	for i := range p.runs {
		if r := &p.runs[i]; r.state == recordAcquired && !r.busy && chosen(r.lock) {
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
func (p *sharePartition) expire(now time.Time, rules *shareRules) int64 {
	return p.releaseAll(rules, func(l *shareLock) bool { return !now.Before(l.until) })
}

// deadline is when expire has something to do, zero for never.
func (p *sharePartition) deadline() (first time.Time) {
	for i := range p.runs {
		if r := &p.runs[i]; r.state == recordAcquired && !r.busy && (first.IsZero() || r.lock.until.Before(first)) {
			first = r.lock.until
		}
	}
	return first
}

// held says whether a record is acquired by somebody.
func (p *sharePartition) held() bool {
	return slices.ContainsFunc(p.runs, func(r shareRun) bool { return r.state == recordAcquired })
}

// trim makes all records below an offset finished, whoever has them: they are no longer in the log.
func (p *sharePartition) trim(to int64) {
	if to <= p.start {
		return
	}
	p.cut(to)
	p.runs = slices.DeleteFunc(p.runs, func(r shareRun) bool { return r.first < to })
	p.start, p.trimmed = to, max(p.trimmed, to)
	p.version++
	p.tidy()
}

// after is what is to be stored when members have acknowledged this.
func (p *sharePartition) after(now time.Time, acks []ShareAck, rules *shareRules) *sharePartition {
	next := &sharePartition{start: p.start, runs: slices.Clone(p.runs)}
	next.acknowledge(now, acks, rules)
	return next
}

// What is stored of a partition is an offset, where it starts, and text: a name of the format, and
// for each run how many records it has, whether they are finished ("f") or not ("a"), and how often
// they were delivered. Records that are acquired are stored as what they were before: available,
// and delivered once less.

const shareFormat = "firn-share-1:"

// export returns what is to be stored.
func (p *sharePartition) export() (start int64, text string) {
	stored := sharePartition{start: p.start, runs: slices.Clone(p.runs)}
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
	return p.start, string(b)
}

var errShareText = errors.New("this is not what is stored of a share group's partition")

// restoreSharePartition is the inverse of export.
func restoreSharePartition(start int64, text string) (*sharePartition, error) {
	rest, ours := strings.CutPrefix(text, shareFormat)
	if !ours || start < 0 {
		return nil, fmt.Errorf("%w: %.40q at %d", errShareText, text, start)
	}
	p := newSharePartition(start)
	for rest != "" {
		i := strings.IndexAny(rest, "fa")
		if i < 0 {
			return nil, errShareText
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		first := p.end()
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
