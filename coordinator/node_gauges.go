package coordinator

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// registerGauges registers what is looked up when somebody asks: how this node stands.
func (n *Node) registerGauges(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "firn_coordinator_" + name, Help: help}, value)
	}
	return errors.Join(
		r.Register(gauge("alive", "1 while this node lives a life; 0 while it recovers, or cannot begin one.", n.alive)),
		r.Register(gauge("oldest_pending_seconds",
			"How long the oldest decided fact, of whichever node, has awaited its confirmation.",
			func() float64 { return n.view.oldestPending(time.Now()).Seconds() })),
		r.Register(gauge("keys",
			"Idempotency keys that partitions remember, each counted in every partition that its request touched.",
			func() float64 { return float64(n.view.KeyCount()) })),
	)
}

func (n *Node) alive() float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life == nil {
		return 0
	}
	return 1
}

// oldestPending is for how long the oldest fact has awaited its confirmation, as far as this view
// knows; 0 if there is none.
func (v *View) oldestPending(now time.Time) (age time.Duration) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, a := range v.pending {
		age = max(age, now.Sub(a.since))
	}
	return age
}
