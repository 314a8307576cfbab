package sim

import (
	"slices"
	"time"

	"firn.dev/coordinator"
)

// strike does one strike. Those that last end by themselves.
func (w *world) strike(s Strike) {
	w.trace("STRIKE: %s", s)
	w.mu.Lock()
	w.struck[s.Kind]++
	w.mu.Unlock()
	node, known := w.target(s)
	if !known {
		return
	}
	switch s.Kind {
	case Kill:
		if _, p, _ := w.nodes[node].now(); p != nil {
			p.kill()
		}
	case Freeze:
		if _, p, _ := w.nodes[node].now(); p != nil {
			p.freeze(s.For)
		}
	case Cut:
		w.cutOff(s.For, node)
	case CutAll:
		for i := range w.nodes {
			w.cutOff(s.For, i)
		}
	case Storm:
		w.mu.Lock()
		w.storm = time.Now().Add(s.For)
		w.mu.Unlock()
	case Skew:
		w.skew.Store(int64(s.For))
	case Clock:
		w.setClock(w.nodes[node], s.For)
	case Recover:
		w.tasks.Go(w.recoverByHand)
	default:
		w.strikeRedis(s)
	}
}

// target is the node that a strike is for. An opening may have been made by none.
func (w *world) target(s Strike) (on int, known bool) {
	if s.On != opener {
		return s.On % len(w.nodes), true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	who := w.openers[s.Open-1]
	on = slices.IndexFunc(w.nodes, func(n *node) bool { return n.name == who })
	return on, on >= 0
}

// setClock starts a node again with a clock that is wrong by some time.
func (w *world) setClock(n *node, by time.Duration) {
	w.mu.Lock()
	w.clocks[n.name] = by
	w.mu.Unlock()
	if _, p, _ := n.now(); p != nil {
		p.kill()
	}
}

func (w *world) cutOff(d time.Duration, node int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutUntil[node] = time.Now().Add(d)
	close(w.cuts[node])
	w.cuts[node] = make(chan struct{})
}

// strikeRedis does those strikes that Redis suffers.
func (w *world) strikeRedis(s Strike) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var old *server
	if len(w.replicas) > 0 {
		old = w.replicas[s.On%len(w.replicas)].replica() // it stays as it was, for the next time
	}
	switch {
	case s.Kind == Replicate:
		w.replicas = append(w.replicas, w.current.replica())
	case s.Kind == Wipe:
		w.current.replace(w.current.empty(w), 0, w.current.run)
	case s.Kind == Restart:
		w.current.restart(w.nextRun())
	case s.Kind == Rewind && old != nil:
		w.current.replace(old.state, old.openedOn, w.nextRun())
	case s.Kind == Back:
		w.become(w.servers[s.On%len(w.servers)])
	case old != nil: // Failover, Split
		old.run = w.nextRun()
		before := w.current
		w.servers = append(w.servers, old)
		w.become(old)
		if s.Kind == Split {
			w.apart[s.On%len(w.nodes)] = before
			w.tasks.Go(func() {
				w.sleep(s.For, w.ctx.Done())
				w.mu.Lock()
				defer w.mu.Unlock()
				delete(w.apart, s.On%len(w.nodes))
				w.disconnect(before)
			})
		}
	}
}

// become makes a server the current one.
func (w *world) become(s *server) {
	if s != w.current {
		w.disconnect(w.current)
		w.current = s
	}
}

// disconnect breaks the connections of followers, who then look which server is theirs.
func (w *world) disconnect(s *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// recoverByHand does what an operator does.
func (w *world) recoverByHand() {
	p := w.newProcess("operator")
	defer p.kill()
	state, err := coordinator.Recover(p.ctx, &store{p, w.bucket}, coordinator.RecoverOptions{Who: "operator"})
	if err == nil {
		err = (&redis{p, -1}).Open(p.ctx, state)
	}
	w.trace("recovery by hand: %v", err)
}
