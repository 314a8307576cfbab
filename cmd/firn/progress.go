package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// progress counts records and, on a terminal, keeps one line on standard error up to date. In a
// pipe it draws nothing.
type progress struct {
	s       streams
	verb    string // "produced", "consumed"
	total   int64  // records expected; 0 if unknown
	started time.Time
	records atomic.Int64
	bytes   atomic.Int64
	stop    chan struct{}
	drawer  sync.WaitGroup
}

// progressEvery is how often the line is drawn.
const progressEvery = 200 * time.Millisecond

func startProgress(s streams, verb string, total int64, draw bool) *progress {
	p := &progress{s: s, verb: verb, total: total, started: time.Now(), stop: make(chan struct{})}
	if draw && s.terminal() {
		p.drawer.Go(func() { s.draw(p.line, p.stop) })
	}
	return p
}

func (p *progress) add(records, bytes int64) {
	p.records.Add(records)
	p.bytes.Add(bytes)
}

// draw keeps one line on the terminal up to date until stop is closed, and then wipes it.
func (s streams) draw(line func() string, stop <-chan struct{}) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(s.Err, "\r\x1b[K%s", line())
		case <-stop:
			fmt.Fprint(s.Err, "\r\x1b[K")
			return
		}
	}
}

// finish ends the drawing. It is called once.
func (p *progress) finish() {
	close(p.stop)
	p.drawer.Wait()
}

// line says how far things are, and how fast they go.
func (p *progress) line() string {
	n, elapsed := p.records.Load(), time.Since(p.started)
	line := fmt.Sprintf("%s %d records", p.verb, n)
	if p.total > 0 {
		line = fmt.Sprintf("%s %d of %d records (%d%%)", p.verb, n, p.total, 100*n/p.total)
	}
	return fmt.Sprintf("%s, %s, in %s (%.0f records/s)", line, byteCount(p.bytes.Load()), elapsed.Round(time.Millisecond),
		float64(n)/max(elapsed.Seconds(), 0.001))
}

// byteCount writes a number of bytes with a binary unit.
func byteCount(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v := float64(n)
	for i, unit := range units {
		if v < 1024 || i == len(units)-1 {
			if i == 0 {
				return fmt.Sprintf("%d B", n)
			}
			return fmt.Sprintf("%.1f %s", v, unit)
		}
		v /= 1024
	}
	return ""
}
