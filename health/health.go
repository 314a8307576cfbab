// Package health keeps what a node knows of what it depends on: its coordinator, and its bucket by
// kinds of requests. The node's own calls tell, so that a healthy cluster asks nothing for it.
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/retry"
)

// Patience is for how long a dependency may fail before the node says so. Restarts are shorter.
const Patience = 5 * time.Second

// Dependency is one of the things that a node depends on.
type Dependency struct {
	Name  string
	Vital bool // without it the node can do no work

	// Probe, if there is one, calls the dependency once, and has Did told. It is called while the
	// dependency fails: a node that gets no work makes no calls of its own.
	Probe func(context.Context) error

	failing atomic.Pointer[Outage]
}

// Outage is a time in which every call to a dependency fails.
type Outage struct {
	Name  string
	Since time.Time // when the first of those calls failed
	Err   error     // why the last one failed
}

func (o *Outage) String() string {
	return fmt.Sprintf("%s has failed for %v: %v", o.Name, time.Since(o.Since).Round(time.Second), o.Err)
}

// Did tells how a call to the dependency ended. A call that its caller gave up says nothing.
func (d *Dependency) Did(err error) {
	before := d.failing.Load()
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		now := &Outage{Name: d.Name, Since: time.Now(), Err: err}
		if before != nil {
			now.Since = before.Since
		}
		d.failing.Store(now)
	case before != nil:
		d.failing.Store(nil)
	}
}

// Outage returns the one that lasts for longer than Patience, or nil.
func (d *Dependency) Outage() *Outage {
	if o := d.failing.Load(); o != nil && time.Since(o.Since) >= Patience {
		return o
	}
	return nil
}

// Node is everything that a node depends on.
type Node []*Dependency

// Down returns the outages of what a node can do no work without.
func (n Node) Down() (outages []*Outage) {
	for _, d := range n {
		if o := d.Outage(); o != nil && d.Vital {
			outages = append(outages, o)
		}
	}
	return outages
}

// Register adds firn_dependency_failing_seconds{dependency}: 0 while the last call succeeded.
func (n Node) Register(r prometheus.Registerer) error {
	for _, d := range n {
		err := r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "firn_dependency_failing_seconds",
			Help:        "For how long every call of this node to a dependency has failed; 0: the last one succeeded.",
			ConstLabels: prometheus.Labels{"dependency": d.Name},
		}, func() float64 {
			if o := d.failing.Load(); o != nil {
				return time.Since(o.Since).Seconds()
			}
			return 0
		}))
		if err != nil {
			return err
		}
	}
	return nil
}

// probeTime bounds a probe.
const probeTime = 15 * time.Second

// Watch logs when outages begin and end, and probes what is down, until ctx ends.
func (n Node) Watch(ctx context.Context, logger *slog.Logger) {
	var watching sync.WaitGroup
	for _, d := range n { // a probe that hangs delays none of the others
		watching.Go(func() { d.watch(ctx, logger.With("dependency", d.Name)) })
	}
	watching.Wait()
}

func (d *Dependency) watch(ctx context.Context, logger *slog.Logger) {
	var told *Outage
	for retry.Pause(ctx, time.Second) == nil {
		o := d.Outage()
		switch {
		case o != nil && told == nil:
			logger.Error("a dependency is down", "since", o.Since, "error", o.Err)
			told = o
		case o == nil && told != nil:
			logger.Info("a dependency works again", "after", time.Since(told.Since).Round(time.Second))
			told = nil
		}
		if o != nil && d.Probe != nil {
			d.probe(ctx)
		}
	}
}

func (d *Dependency) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_ = d.Probe(ctx) // Did has been told
}
