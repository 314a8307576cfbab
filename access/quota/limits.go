package quota

import (
	"container/list"
	"sync"
	"time"

	"firn.dev/access"
)

// kind is what is so of all quotas of one name.
type kind struct {
	whole bool          // Kafka takes whole numbers only
	ofIP  bool          // it is for addresses, and not for users and client ids
	unit  float64       // what a quota of 1 allows in a second
	burst time.Duration // what a client that was quiet may use at once: its quota for so long
	most  time.Duration // that a client is told to wait at once
}

// Bytes and time may be ahead of the quota by one second, so that it holds to within a tenth over
// ten. What is counted in small numbers may be ahead by ten: a client that starts makes some
// connections, and a topic has some partitions.
//
// A wait is told in pieces that clients survive, shorter than their request.timeout.ms and
// delivery.timeout.ms; the debt stays, so that the next request has to wait as well.
var kinds = map[access.Quota]kind{
	access.ProducedBytes: {whole: true, unit: 1, burst: time.Second, most: 20 * time.Second},
	access.FetchedBytes:  {whole: true, unit: 1, burst: time.Second, most: 20 * time.Second},
	access.Requests:      {unit: 0.01, burst: time.Second, most: time.Second},
	access.Mutations:     {unit: 1, burst: 10 * time.Second, most: 20 * time.Second},
	access.Connections:   {ofIP: true, whole: true, unit: 1, burst: 10 * time.Second, most: time.Second},
}

// maxCounters bounds how many clients are counted, each for each of its limits. Only those are that
// have a limit, and have used something in the last seconds. The one that was quiet longest has to
// make room.
const maxCounters = 10_000

// maxDebt is how far ahead of its quota a client is counted to be at most.
const maxDebt = time.Hour

// Limits counts what clients use. Its methods may be called by many goroutines at once; a nil
// Limits limits nobody.
type Limits struct {
	table func() *Table

	mu       sync.Mutex
	counters map[limitKey]*list.Element // of *counter
	order    list.List                  // the one that was used last is at the back
}

// counter is how far a client is ahead of its quota, in seconds of it: after so long, what it used
// is made up for. It may be the burst ahead without waiting.
type counter struct {
	limitKey // the entity is who shares it
	ahead    time.Duration
	at       time.Time
}

// NewLimits returns limits by the table, which is asked for each time.
func NewLimits(table func() *Table) *Limits {
	return &Limits{table: table, counters: map[limitKey]*list.Element{}}
}

// Use counts what a client has used, and returns how long it has to wait before it uses more: 0 if
// it is within its quota. What is used is bytes, partitions, or seconds, as the quota says.
func (l *Limits) Use(q access.Quota, by Client, amount float64) time.Duration {
	if l == nil {
		return 0
	}
	shared, limit, limited := l.table().of(by, q)
	if !limited {
		return 0
	}
	return l.use(limitKey{shared, q}, limit, amount)
}

// Wait is how long a client has to wait before it uses more.
func (l *Limits) Wait(q access.Quota, by Client) time.Duration { return l.Use(q, by, 0) }

// Rate is how much a client may use in a second; false if it has no limit.
func (l *Limits) Rate(q access.Quota, by Client) (rate float64, limited bool) {
	if l == nil {
		return 0, false
	}
	_, limit, limited := l.table().of(by, q)
	return limit * kinds[q].unit, limited
}

// Connect counts a connection from an address. If there were too many lately, it is not to be
// served, does not count, and Connect returns in what time the next may come.
func (l *Limits) Connect(ip string) time.Duration {
	if l == nil {
		return 0
	}
	shared, limit, limited := l.table().ofAddress(ip)
	if !limited {
		return 0
	}
	at := limitKey{shared, access.Connections}
	if wait := l.use(at, limit, 0); wait > 0 {
		return wait
	}
	l.use(at, limit, 1)
	return 0
}

func (l *Limits) use(at limitKey, limit, amount float64) time.Duration {
	k, now := kinds[at.of], time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counter(at, now, amount > 0)
	if c == nil {
		return 0
	}
	c.ahead = max(c.ahead-now.Sub(c.at), 0)
	c.at = now
	if seconds := amount / (limit * k.unit); seconds < maxDebt.Seconds() {
		c.ahead = min(c.ahead+time.Duration(seconds*float64(time.Second)), maxDebt)
	} else {
		c.ahead = maxDebt
	}
	return min(max(c.ahead-k.burst, 0), k.most)
}

// counter finds a counter; nil if there is none, and none is to be made. One that has nothing to
// remember is as good as none: those go when others come.
func (l *Limits) counter(at limitKey, now time.Time, make bool) *counter {
	if found, is := l.counters[at]; is {
		l.order.MoveToBack(found)
		return found.Value.(*counter)
	}
	if !make {
		return nil
	}
	for range 2 {
		oldest := l.order.Front()
		if oldest == nil {
			break
		}
		c := oldest.Value.(*counter)
		if now.Sub(c.at) < c.ahead && len(l.counters) < maxCounters {
			break
		}
		l.order.Remove(oldest)
		delete(l.counters, c.limitKey)
	}
	c := &counter{limitKey: at, at: now}
	l.counters[at] = l.order.PushBack(c)
	return c
}

// Counted is how many counters there are.
func (l *Limits) Counted() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.counters)
}
