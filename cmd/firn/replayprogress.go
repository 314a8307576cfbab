package main

import (
	"fmt"
	"sync"
	"time"

	"firn.dev/replay"
)

// replayProgress shows how far a replay is: a line that is kept up to date on a terminal, and one
// every few seconds elsewhere.
type replayProgress struct {
	s       streams
	r       *replay.Replay
	total   int64 // bytes
	started time.Time
	stop    chan struct{}
	showing sync.WaitGroup
}

// progressLines is how often a line is written where there is no terminal.
const progressLines = 5 * time.Second

func startReplayProgress(s streams, r *replay.Replay, silent bool) *replayProgress {
	p := &replayProgress{s: s, r: r, total: r.Bytes(), started: time.Now(), stop: make(chan struct{})}
	switch {
	case silent:
	case s.terminal():
		p.showing.Go(func() { s.draw(p.estimate, p.stop) })
	default:
		p.showing.Go(p.tell)
	}
	return p
}

// tell writes a line now and then.
func (p *replayProgress) tell() {
	tick := time.NewTicker(progressLines)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.s.note("%s", p.estimate())
		case <-p.stop:
			return
		}
	}
}

// finish ends it, with a line about the whole. It is called once.
func (p *replayProgress) finish() {
	close(p.stop)
	p.showing.Wait()
	if p.total > 0 {
		p.s.note("%s, in %s", p.line(), time.Since(p.started).Round(time.Millisecond))
	}
}

func (p *replayProgress) line() string {
	bytes, records := p.r.Read()
	seconds := max(time.Since(p.started).Seconds(), 0.001)
	return fmt.Sprintf("replayed %d records, %s of %s, %s/s", records, byteCount(bytes), byteCount(max(p.total, bytes)),
		byteCount(int64(float64(bytes)/seconds)))
}

// estimate is line, and how much is left.
func (p *replayProgress) estimate() string {
	bytes, _ := p.r.Read()
	return fmt.Sprintf("%s (%d%%), ETA %s", p.line(), 100*min(bytes, p.total)/max(p.total, 1), p.eta())
}

// eta is how long it will take, at the average speed so far.
func (p *replayProgress) eta() string {
	bytes, _ := p.r.Read()
	if bytes == 0 {
		return "unknown"
	}
	left := time.Duration(float64(max(p.total-bytes, 0)) / float64(bytes) * float64(time.Since(p.started)))
	return left.Round(time.Second).String()
}
