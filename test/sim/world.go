package sim

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// topicName is the topic that all clients work with.
const topicName = "topic"

// world is one simulation.
type world struct {
	plan    *Plan
	rates   float64 // of faults of calls, all kinds together
	bucket  segments.Store
	nodes   []*node
	judge   *judge
	admin   *client // nil: topics stay
	tracing bool

	ctx    context.Context // ends with the simulation
	cancel context.CancelFunc
	calm   chan struct{} // closed when the trouble is over
	tasks  sync.WaitGroup
	busy   sync.Map // names of clients that are not done

	skew atomic.Int64 // of Redis' clock, a time.Duration

	trouble chan struct{} // closed when it begins

	mu       sync.Mutex
	begun    time.Time
	current  *server
	servers  []*server // all that were current, for those who come back
	replicas []*server
	apart    map[int]*server       // nodes that talk to another server than the current one
	cuts     map[int]chan struct{} // nodes that reach no server; closed when that begins
	cutUntil map[int]time.Time
	storm    time.Time                // until when the bucket refuses
	clocks   map[string]time.Duration // by how much the clocks of programs are wrong
	runs     int
	numbers  map[string]int
	calls    int
	happens  map[string]Fault // what has happened to calls
	counts   map[Fault]int
	struck   map[StrikeKind]int
	openings int
	openers  []string              // who made each of the openings
	awaited  map[int]chan struct{} // openings that strikes wait for
	lines    []string
}

func newWorld(plan *Plan, tracing bool) *world {
	w := &world{plan: plan, tracing: tracing, bucket: memory.New(), judge: newJudge(plan), calm: make(chan struct{}),
		trouble: make(chan struct{}), begun: time.Now(),
		apart: map[int]*server{}, cuts: map[int]chan struct{}{}, cutUntil: map[int]time.Time{}, numbers: map[string]int{},
		happens: map[string]Fault{},
		awaited: map[int]chan struct{}{}, clocks: map[string]time.Duration{}, counts: map[Fault]int{},
		struck: map[StrikeKind]int{}}
	for _, r := range plan.Rates {
		w.rates += r
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.current = w.newServer()
	w.servers = []*server{w.current}
	for i := range plan.Nodes {
		w.nodes = append(w.nodes, w.newNode(i))
		w.cuts[i] = make(chan struct{})
	}
	return w
}

func (w *world) nextRun() int {
	w.runs++
	return w.runs
}

func (w *world) isCalm() bool { return closed(w.calm) }

func (w *world) troubled() bool { return closed(w.trouble) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// sleepAlways waits for d, or until the simulation ends.
func (w *world) sleepAlways(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.ctx.Done():
	}
}

// trace notes what happens, for a simulation that is looked at.
func (w *world) trace(format string, args ...any) {
	if !w.tracing {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf("%11.6f ", time.Since(w.begun).Seconds())+fmt.Sprintf(format, args...))
}

// happened notes what happened to a call.
func (w *world) happened(call string, f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.happens[call] = f
	w.counts[f]++
}

// opened notes that an incarnation is open.
func (w *world) opened(who string, in coordinator.Incarnation) {
	w.trace("%s has opened incarnation %d", who, in)
	w.mu.Lock()
	w.openings++
	w.openers = append(w.openers, who)
	if awaited := w.awaited[w.openings]; awaited != nil {
		close(awaited)
		delete(w.awaited, w.openings)
	}
	w.mu.Unlock()
	w.judge.opens(in)
}

// opening is closed at that opening of an incarnation, counted from 1; at once if it has been.
func (w *world) opening(n int) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.awaited[n]
	if c == nil {
		c = make(chan struct{})
		if n <= w.openings {
			close(c)
			return c
		}
		w.awaited[n] = c
	}
	return c
}

// connect returns the server that a node talks to, and whether it does not reach it.
func (w *world) connect(node int) (connection, bool) {
	w.mu.Lock()
	s, cut := w.current, w.cutUntil[node].After(time.Now()) && !w.isCalm()
	if other := w.apart[node]; other != nil {
		s = other
	}
	w.mu.Unlock()
	return s.connect(), cut
}

// cutting is closed when a node is cut off.
func (w *world) cutting(node int) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts[node]
}

func (w *world) storming(program, name string) bool {
	w.mu.Lock()
	storm := w.storm.After(time.Now())
	w.mu.Unlock()
	return storm && !w.isCalm() &&
		dice{w.plan.Seed, program}.chance(fmt.Sprint("storm ", name, w.number(program, "in storm")), 0.9)
}

func (w *world) pageSize(program string) int {
	d := dice{w.plan.Seed, program}
	page := fmt.Sprint("page ", w.number(program, "page"))
	if w.isCalm() || d.chance(page, 0.7) {
		return 1000
	}
	return 1 + d.n("of "+page, 5)
}

func (w *world) streamDelay(program string) time.Duration {
	return dice{w.plan.Seed, program}.between(fmt.Sprint("stream ", w.number(program, "stream")), 0, time.Millisecond)
}

func (w *world) restartDelay(program string) time.Duration {
	return dice{w.plan.Seed, program}.between(fmt.Sprint("restart ", w.number(program, "restart")), 10*time.Millisecond,
		4*time.Second)
}

// clock is what a program that is started now has for a clock.
func (w *world) clock(program string) func() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrong := w.clocks[program]
	return func() time.Time { return time.Now().Add(wrong) }
}

// redisTime is what Redis takes the time to be.
func (w *world) redisTime() time.Time {
	return time.Now().Add(time.Duration(w.skew.Load()))
}

// topicID is that of the topic as the newest decision left it.
func (w *world) topicID() segments.TopicID {
	w.mu.Lock()
	s := w.current
	w.mu.Unlock()
	e, _, err := s.connect().trusted()
	if err != nil {
		return segments.TopicID{}
	}
	g, err := e.Generation(w.ctx)
	if err != nil {
		return segments.TopicID{}
	}
	t, err := e.Topic(w.ctx, g.Incarnation, topicName)
	if err != nil {
		return segments.TopicID{}
	}
	return t.ID
}
