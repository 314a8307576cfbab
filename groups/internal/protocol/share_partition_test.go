package protocol

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shareModel is a share partition record by record, the plain way: the reference for
// SharePartition. It knows of each record in the log what is to become of it, and remembers what
// was answered.
type shareModel struct {
	*SharePartition
	t     *rapid.T
	now   time.Time
	rules ShareRules

	start, end int64 // of the log
	trimmedTo  int64 // what this owner knows to be trimmed
	records    map[int64]*modelRecord
}

type modelRecord struct {
	gap      bool // there is no record at this offset
	holder   string
	until    time.Time
	lasts    time.Duration // of its lock
	count    int           // of deliveries
	finished bool          // acknowledged or refused, and answered
	archived bool          // delivered too often, or trimmed
	untold   int           // deliveries that the partition's count lacks, for owners have died
}

func (m *shareModel) logged(first, last int64) []LogRange {
	var all []LogRange
	for at := first; at <= last; at++ {
		if m.records[at].gap {
			continue
		}
		if n := len(all); n > 0 && all[n-1].Last == at-1 && at%5 != 0 {
			all[n-1].Last = at
		} else {
			all = append(all, LogRange{at, at})
		}
	}
	return all
}

// free is what the model would give.
func (m *shareModel) free(at int64) bool {
	r := m.records[at]
	return !r.gap && !r.finished && !r.archived && r.holder == ""
}

func (m *shareModel) release(r *modelRecord) {
	r.holder = ""
	if r.count-r.untold >= m.rules.Deliveries {
		r.archived = true
	}
}

func (m *shareModel) acquire(member string) {
	from := m.Next()
	if from >= m.end {
		for at := m.start; at < m.end; at++ {
			if m.free(at) && at >= m.SharePartition.Start {
				m.t.Fatalf("nothing is to be had, but %d is free", at)
			}
		}
		return
	}
	for at := m.start; at < from; at++ {
		if m.free(at) {
			m.t.Fatalf("next is %d, but %d is free", from, at)
		}
	}
	a := &ShareAcquisition{Member: member, From: from,
		To:   min(m.end-1, from+int64(rapid.IntRange(0, 12).Draw(m.t, "read"))),
		Most: rapid.IntRange(1, 8).Draw(m.t, "most"), Exactly: rapid.Bool().Draw(m.t, "exactly"),
		Split: rapid.IntRange(0, 4).Draw(m.t, "split"),
		Lock:  time.Duration(rapid.IntRange(0, 1).Draw(m.t, "lock")) * 20 * time.Second}
	a.Batches = m.logged(a.From, a.To)
	before := m.InFlight()
	got := m.SharePartition.Acquire(m.now, a, &m.rules)
	n, last := 0, int64(-1)
	for _, r := range got {
		if r.First <= last {
			m.t.Fatalf("acquired %v, which is not in order", got)
		}
		for at := r.First; at <= r.Last; at++ {
			record := m.records[at]
			if record == nil || !m.free(at) {
				m.t.Fatalf("acquired %d, which is %+v", at, record)
			}
			record.lasts = cmp.Or(a.Lock, m.rules.Lock)
			record.holder, record.until = member, m.now.Add(record.lasts)
			record.count++
			if record.count-record.untold != int(r.Deliveries) {
				m.t.Fatalf("%d was delivered %d times and counts %d, with %d owners that died", at, record.count,
					r.Deliveries, record.untold)
			}
			n++
		}
		last = r.Last
	}
	if a.Exactly && n > a.Most || n > a.Most+5 {
		m.t.Fatalf("acquired %d of %d records", n, a.Most)
	}
	if now := m.InFlight(); a.Exactly && now > max(before, m.rules.MaxLocks) || now > max(before, m.rules.MaxLocks)+5 {
		m.t.Fatalf("%d records are in flight, of %d", now, m.rules.MaxLocks)
	}
	if n == 0 && before < m.rules.MaxLocks {
		for at := a.From; at <= a.To; at++ {
			if m.free(at) {
				m.t.Fatalf("nothing was acquired, but %d is free", at)
			}
		}
		if m.Next() <= a.To {
			m.t.Fatalf("there is nothing from %d to %d, and next is %d", a.From, a.To, m.Next())
		}
	}
}

// has are the records that a member has.
func (m *shareModel) has(member string) (all []int64) {
	for at := m.start; at < m.end; at++ {
		if m.records[at].holder == member {
			all = append(all, at)
		}
	}
	return all
}

func (m *shareModel) acknowledge(member string, decided bool) {
	if m.end == 0 {
		return
	}
	first := rapid.Int64Range(max(m.start-2, 0), m.end-1).Draw(m.t, "first")
	last := min(first+rapid.Int64Range(0, 5).Draw(m.t, "more"), m.end-1)
	if has := m.has(member); len(has) > 0 && rapid.IntRange(0, 3).Draw(m.t, "wrong") > 0 {
		first = rapid.SampledFrom(has).Draw(m.t, "held")
		for last = first; m.records[last+1] != nil && m.records[last+1].holder == member && last < first+5; last++ {
		}
		if first == m.trimmedTo && first > 0 {
			first--
		}
	}
	ack := ShareAck{LogRange: LogRange{first, last},
		Lock: time.Duration(rapid.IntRange(0, 1).Draw(m.t, "renewed")) * 5 * time.Second}
	for at := first; at <= last; at++ {
		ack.Types = append(ack.Types, AckType(rapid.IntRange(0, 4).Draw(m.t, "type")))
	}
	if rapid.Bool().Draw(m.t, "one for all") {
		ack.Types = ack.Types[:1]
	}
	valid := true
	for at := first; at <= last; at++ {
		r := m.records[at]
		valid = valid && (at < m.trimmedTo || r.holder == member && m.now.Before(r.until))
	}
	acks := []ShareAck{ack}
	err := m.Check(m.now, member, acks)
	if (err == nil) != valid {
		m.t.Fatalf("%s acknowledges %d to %d: %v", member, first, last, err)
	}
	if err != nil {
		return
	}
	m.mark(acks, true)
	next := m.After(m.now, acks, &m.rules)
	if m.SharePartition.Acquire(m.now, &ShareAcquisition{Member: "other", From: first, To: last,
		Batches: []LogRange{{max(first, m.SharePartition.Start), last}}, Most: 100}, &m.rules) != nil {
		m.t.Fatalf("acquired what is being acknowledged")
	}
	if m.expire(m.now.Add(time.Hour), &m.rules); !decided {
		m.lapse(m.now.Add(time.Hour), first, last)
		m.mark(acks, false)
		return
	}
	m.lapse(m.now.Add(time.Hour), first, last)
	m.SharePartition.acknowledge(m.now, acks, &m.rules)
	for at := max(first, m.trimmedTo); at <= last; at++ {
		r := m.records[at]
		switch ack.Types[min(at-first, int64(len(ack.Types)-1))] {
		case AckRenew:
			r.lasts = cmp.Or(ack.Lock, r.lasts)
			r.until = m.now.Add(r.lasts)
		case AckRelease:
			m.release(r)
		default:
			r.finished, r.holder = true, ""
		}
	}
	for at := first; at <= last; at++ { // what is stored says of them what is in memory
		if a, b := stateAt(next, at), stateAt(m.SharePartition, at); a != b {
			m.t.Fatalf("of %d is stored %s, and in memory is %s", at, a, b)
		}
	}
}

func stateAt(p *SharePartition, at int64) string {
	for _, r := range p.runs {
		if r.first <= at && at <= r.last && r.state != recordFinished {
			return fmt.Sprint(r.state, r.count)
		}
	}
	return fmt.Sprint("finished or unknown: ", at < p.End())
}

// lapse lets time pass in the model, for all but some records.
func (m *shareModel) lapse(now time.Time, first, last int64) {
	for at, r := range m.records {
		if r.holder != "" && !now.Before(r.until) && (at < first || at > last) {
			m.release(r)
		}
	}
}

// die lets another owner begin with what this one has stored.
func (m *shareModel) die() {
	start, text := m.export()
	p, err := RestoreSharePartition(start, text)
	if err != nil {
		m.t.Fatal(err)
	}
	if again, same := p.export(); again != start || same != text {
		m.t.Fatalf("stored is %d %q, and again %d %q", start, text, again, same)
	}
	m.SharePartition, m.trimmedTo = p, 0
	for _, r := range m.records {
		if r.holder != "" {
			r.holder = ""
			r.untold++
		}
	}
}

// A share partition does what a plain list of records would, whatever members do, however much time
// passes and whoever owns it: nobody gets a record that another has, or that was acknowledged;
// every other record is to be had as long as it may be delivered; and the count of deliveries lacks
// one for each owner that died while the record was out, and no more.
func TestSharePartitionIsAListOfRecords(t *testing.T) {
	for range 20 { // some rules matter in one run of a thousand
		rapid.Check(t, checkSharePartition)
	}
}

func checkSharePartition(t *rapid.T) {
	m := &shareModel{t: t, now: time.Unix(1e9, 0), records: map[int64]*modelRecord{},
		SharePartition: NewSharePartition(0),
		rules: ShareRules{Lock: 10 * time.Second, Deliveries: rapid.IntRange(2, 4).Draw(t, "deliveries"),
			MaxLocks: rapid.IntRange(3, 20).Draw(t, "locks")}}
	member := rapid.SampledFrom([]string{"a", "b"})
	t.Repeat(map[string]func(*rapid.T){
		"append": func(t *rapid.T) {
			for range rapid.IntRange(1, 10).Draw(t, "records") {
				m.records[m.end] = &modelRecord{gap: rapid.IntRange(0, 5).Draw(t, "gap") == 0}
				m.end++
			}
		},
		"acquire":     func(t *rapid.T) { m.acquire(member.Draw(t, "member")) },
		"acknowledge": func(t *rapid.T) { m.acknowledge(member.Draw(t, "member"), rapid.Bool().Draw(t, "decided")) },
		"leave": func(t *rapid.T) {
			gone := member.Draw(t, "member")
			told := rapid.Bool().Draw(t, "told")
			m.releaseAll(&m.rules, told, func(l *shareLock) bool { return l.member == gone })
			for _, r := range m.records {
				if r.holder == gone {
					if !told {
						r.count--
					}
					m.release(r)
				}
			}
		},
		"wait": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds")) * time.Second)
		},
		"tick": func(*rapid.T) { // late, as on a busy machine
			m.expire(m.now, &m.rules)
			m.lapse(m.now, -1, -1)
		},
		"trim": func(t *rapid.T) {
			to := rapid.Int64Range(m.start, m.end).Draw(t, "to")
			if to > m.SharePartition.Start {
				m.trimmedTo = to
			}
			m.Trim(to)
			for at := m.start; at < to; at++ {
				m.records[at].archived, m.records[at].holder = true, ""
			}
			m.start = to
		},
		"owner dies": func(t *rapid.T) { m.die() },
		"": func(t *rapid.T) {
			at := m.SharePartition.Start
			for _, r := range m.runs {
				if r.first != at || r.last < r.first || (r.state == recordAcquired) != (r.lock != nil) || r.busy {
					t.Fatalf("runs are %+v", m.runs)
				}
				at = r.last + 1
			}
			for at := m.start; at < m.SharePartition.Start; at++ {
				if r := m.records[at]; !r.gap && !r.finished && !r.archived {
					t.Fatalf("start is %d, but %d is %+v", m.SharePartition.Start, at, r)
				}
			}
		},
	})
}

// What is not what export writes is refused, and never a panic.
func FuzzRestoreSharePartition(f *testing.F) {
	f.Add(int64(0), shareFormat)
	f.Add(int64(7), shareFormat+"3f2a1 1f")
	f.Add(int64(7), shareFormat+"3a0 2a5 ")
	f.Fuzz(func(t *testing.T, start int64, text string) {
		p, err := RestoreSharePartition(start, text)
		if err != nil {
			return
		}
		start, text = p.export()
		again, err := RestoreSharePartition(start, text)
		if err != nil {
			t.Fatal(err)
		}
		if s, same := again.export(); s != start || same != text {
			t.Fatalf("%d %q becomes %d %q", start, text, s, same)
		}
	})
}
