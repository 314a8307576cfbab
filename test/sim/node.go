package sim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/rest"
	"firn.dev/segments"
)

// node is a program that runs as one process after the other: a whole Firn server, without its
// listeners.
type node struct {
	w    *world
	id   int32
	name string

	mu      sync.Mutex
	running *instance     // nil while it starts
	process *process      // also while it starts
	started chan struct{} // closed, and replaced, when running changes
}

// instance is one process of a node: the rooms, wired as cmd/firn does.
type instance struct {
	*process
	store   segments.Store
	member  *coordinator.Node
	index   *index.Index
	writer  *ingest.Writer
	groups  *groups.Manager
	rest    *rest.Server
	cleaner *cleanup.Cleaner
}

func (w *world) newNode(id int) *node {
	return &node{w: w, id: int32(id + 1), name: fmt.Sprint("node", id+1), started: make(chan struct{})}
}

// run starts the node again whenever its process has ended, as systemd does.
func (n *node) run() {
	for n.w.ctx.Err() == nil {
		p := n.w.newProcess(n.name)
		n.set(nil, p)
		i, err := n.start(p)
		if err == nil {
			n.set(i, p)
			select {
			case <-p.died:
			case <-i.member.Done():
				n.w.trace("%s ends: %v", n.name, i.member.Err())
			case <-n.w.ctx.Done():
			}
		} else {
			n.w.trace("%s does not start: %v", n.name, err)
		}
		p.kill()
		i.end()
		n.w.sleepAlways(n.w.restartDelay(n.name))
	}
}

func (n *node) set(i *instance, p *process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running, n.process = i, p
	close(n.started)
	n.started = make(chan struct{})
}

// now returns the process that runs, and what is closed when that changes.
func (n *node) now() (*instance, *process, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running, n.process, n.started
}

// instance waits until the node runs.
func (n *node) instance(ctx context.Context) (*instance, error) {
	for {
		i, _, changed := n.now()
		if i != nil && !i.dead() {
			return i, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// start wires the rooms. What was started when it fails is in the instance as well.
func (n *node) start(p *process) (i *instance, err error) {
	w := n.w
	i = &instance{process: p, store: &store{p, w.bucket}}
	logger := w.logger(n.name)
	i.member, err = coordinator.Join(p.ctx, coordinator.NodeOptions{
		Store: i.store, Coordinator: &redis{p, int(n.id) - 1},
		Info:   coordinator.NodeInfo{ID: n.id, KafkaHost: n.name, KafkaPort: 9092, HTTP: n.name + ":80"},
		Logger: logger, Clock: w.clock(n.name),
		CommitDeadline: w.plan.CommitDeadline, SnapshotObjects: w.plan.SnapshotObjects,
	})
	if err != nil {
		return i, err
	}
	i.index, err = index.New(index.Options{Store: i.store, View: i.member.View(), Logger: logger,
		CatchUp: i.member.CatchUp})
	if err != nil {
		return i, err
	}
	written, pace := i.store, (*cleanup.Pace)(nil)
	if w.plan.Cleanup {
		pace = cleanup.NewPace(64 << 20)
		written = pace.Timed(i.store)
	}
	if i.writer, err = ingest.New(ingest.Options{Store: written, Node: i.member, Logger: logger,
		Sealed: i.index.Keep, CarryBytes: w.plan.Carry}); err != nil {
		return i, err
	}
	if i.groups, err = groups.New(groups.Options{Node: i.member, Logger: logger}); err != nil {
		return i, err
	}
	i.rest, err = rest.New(rest.Options{Node: i.member, View: i.member.View(), Index: i.index, Groups: i.groups,
		Writer:   i.writer,
		Gatherer: prometheus.NewRegistry(), Logger: logger})
	if err != nil {
		return i, err
	}
	if w.plan.Cleanup {
		i.cleaner, err = cleanup.New(cleanup.Options{Node: i.member, Store: i.store, Pace: pace, Logger: logger,
			CommitDeadline: w.plan.CommitDeadline,
			Grace:          w.plan.Grace, Interval: 2 * time.Second, Retain: 2 * time.Second, Stale: 20 * time.Second,
			ArchiveBatch: 3,
			ArchiveKeep:  3})
	}
	return i, err
}

// end lets go of all that a dead process holds. Nothing that it does can be seen.
func (i *instance) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if i.cleaner != nil {
		_ = i.cleaner.Close(ctx)
	}
	if i.rest != nil {
		i.rest.Drain()
	}
	if i.writer != nil {
		_ = i.writer.Close(ctx)
	}
	if i.groups != nil {
		_ = i.groups.Close(ctx)
	}
	if i.member != nil {
		_ = i.member.Close(ctx)
	}
	if i.index != nil {
		_ = i.index.Close()
	}
}

// serve has a client ask a running process for something: the request passes its gate, and so does
// the answer. The client gives up with ctx; the process may go on.
func serve[T any](ctx context.Context, i *instance, do func(ctx context.Context) (T, error)) (answer T, err error) {
	type reply struct {
		answer T
		err    error
	}
	replies := make(chan reply, 1)
	i.w.tasks.Go(func() {
		var r reply
		if r.err = i.gate(); r.err == nil {
			r.answer, r.err = do(i.ctx)
			if err := i.gate(); err != nil {
				r.err = err
			}
		}
		replies <- r
	})
	select {
	case r := <-replies:
		return r.answer, r.err
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// leaving is the context of a request at a server whose client hangs up when it gives up.
func leaving(server, client context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(server)
	stop := context.AfterFunc(client, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// traced is a logger whose lines go into the trace.
type traced struct {
	w    *world
	name string
}

func (w *world) logger(name string) *slog.Logger {
	if !w.tracing {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(traced{w, name}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (t traced) Write(line []byte) (int, error) {
	t.w.trace("%s: %s", t.name, line)
	return len(line), nil
}
