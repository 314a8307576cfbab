package cleanup

import (
	"context"
	"math/bits"
	"sync"
	"time"

	"firn.dev/segments"
)

// Pace is how fast merges go: at most at a rate, and more slowly while they slow down others. It
// learns what a put of the write path takes while no merge is at work, which it sees to now and
// then by a short break, and compares with what puts take beside merges: when that is more than a
// few percent worse, the rate falls, and when it is not, it rises again. Its methods are safe for
// concurrent use.
type Pace struct {
	most float64 // bytes per second

	mu      sync.Mutex
	rate    float64
	tokens  float64   // bytes that may be read now; negative: owed
	at      time.Time // when tokens was right
	rest    time.Time // when the next break is due
	resting time.Time // until when everybody takes one
	quiet   time.Time // since when nobody merges, if merging is 0
	merging int

	puts  int             // under way
	usual [64]putUsual    // by size: each twice the one before
	judge comparedToUsual // since the last change of the rate
}

// putUsual is what puts of a size take while nobody merges.
type putUsual struct {
	seconds float64
	n       int
}

// comparedToUsual sums up puts beside merges.
type comparedToUsual struct {
	since         time.Time
	n             int
	took, usually float64 // seconds
}

const (
	paceEvery   = time.Second            // the rate is reconsidered
	paceEnough  = 4                      // puts to judge by
	paceWorse   = 1.08                   // times the usual: slower is too slow
	paceSlowly  = 64                     // the least rate is that part of the most
	paceWork    = 4 * time.Second        // between breaks
	paceBreak   = 250 * time.Millisecond // while there are puts
	paceSettled = 30 * time.Millisecond  // after merges stop, until what puts take counts as usual
	paceKnown   = 8                      // puts make a usual
)

// NewPace returns a pace of so many bytes per second at most, read and written again.
func NewPace(bytesPerSecond int64) *Pace {
	now := time.Now()
	return &Pace{most: float64(bytesPerSecond), rate: float64(bytesPerSecond), at: now, quiet: now,
		rest: now.Add(paceWork), judge: comparedToUsual{since: now}}
}

// begin says that a merge is at work, until end.
func (p *Pace) begin() (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.merging++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.merging--; p.merging == 0 {
			p.quiet = time.Now()
		}
	}
}

// wait waits until n more bytes may be merged.
func (p *Pace) wait(ctx context.Context, n int) error {
	pause := p.take(n, time.Now())
	if pause <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take takes n bytes and says after what pause they may be merged.
func (p *Pace) take(n int, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.adapt(now)
	p.tokens = min(p.tokens+now.Sub(p.at).Seconds()*p.rate, p.rate/10) - float64(n)
	p.at = now
	if !now.Before(p.rest) {
		p.rest = now.Add(paceWork)
		if p.judge.n > 0 || p.puts > 0 {
			p.resting = now.Add(paceBreak)
		}
	}
	return max(time.Duration(-p.tokens/p.rate*float64(time.Second)), p.resting.Sub(now))
}

// adapt changes the rate, when there is something to judge by.
func (p *Pace) adapt(now time.Time) {
	if now.Sub(p.judge.since) < paceEvery ||
		p.judge.n > 0 && p.judge.n < paceEnough && now.Sub(p.judge.since) < 5*paceEvery {
		return
	}
	if p.judge.took > paceWorse*p.judge.usually {
		p.rate = max(p.rate*0.7, p.most/paceSlowly)
	} else {
		p.rate = min(p.rate*1.15, p.most)
	}
	p.judge = comparedToUsual{since: now}
}

// Rate is the present one, in bytes per second.
func (p *Pace) Rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate
}

// idle says whether nobody merges, and has not for a moment.
func (p *Pace) idle(now time.Time) bool {
	if p.merging > 0 {
		return now.Before(p.resting) && p.resting.Sub(now) < paceBreak-paceSettled
	}
	return now.Sub(p.quiet) > paceSettled
}

func (p *Pace) putBegins(now time.Time) (idle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.puts++
	return p.idle(now)
}

func (p *Pace) putEnded(size int, wasIdle, succeeded bool, took time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.puts--
	if !succeeded {
		return
	}
	usual := &p.usual[bits.Len(uint(size))%len(p.usual)]
	switch idle := p.idle(now); {
	case wasIdle && idle:
		usual.n++
		usual.seconds += (took.Seconds() - usual.seconds) / float64(min(usual.n, 64))
	case !wasIdle && !idle && usual.n >= paceKnown:
		p.judge.n++
		p.judge.took += took.Seconds()
		p.judge.usually += usual.seconds
	}
}

// Timed returns the store for the write path, whose puts the pace is set by.
func (p *Pace) Timed(store segments.Store) segments.Store { return &timed{store, p} }

// timed is a store whose puts are timed. It is no Cleaner: the write path does not clean.
type timed struct {
	segments.Store
	pace *Pace
}

// Put implements segments.Store.
func (b *timed) Put(ctx context.Context, key string, body []byte) error {
	begun := time.Now()
	idle := b.pace.putBegins(begun)
	err := b.Store.Put(ctx, key, body)
	now := time.Now()
	b.pace.putEnded(len(body), idle, err == nil, now.Sub(begun), now)
	return err
}
