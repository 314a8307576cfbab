package coordinator_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/segments/memory"
)

// leases is an embedded coordinator whose leases fail with an error, if there is one.
type leases struct {
	coordinator.Coordinator
	err   atomic.Pointer[error]
	asked atomic.Int64
}

func (l *leases) Acquire(ctx context.Context, in coordinator.Incarnation, name, owner string,
	ttl time.Duration) (coordinator.Lease, error) {
	l.asked.Add(1)
	if err := l.err.Load(); err != nil {
		return coordinator.Lease{}, *err
	}
	return l.Coordinator.Acquire(ctx, in, name, owner, ttl)
}

const holdTTL = 10 * time.Second

// holding runs a test in virtual time with a lease that is held.
func holding(t *testing.T, test func(t *testing.T, l *leases, life *coordinator.Life, h *coordinator.Hold)) {
	synctest.Test(t, func(t *testing.T) {
		l := &leases{Coordinator: embedded.New(embedded.Options{})}
		node, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: memory.New(), Coordinator: l,
			Info: coordinator.NodeInfo{ID: 1}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = node.Close(context.WithoutCancel(t.Context())) }() // some tests take its leases away
		life, err := node.Life(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h, err := life.Hold(t.Context(), "tests", holdTTL)
		if err != nil {
			t.Fatal(err)
		}
		test(t, l, life, h)
	})
}

func TestHoldIsRenewed(t *testing.T) {
	holding(t, func(t *testing.T, l *leases, life *coordinator.Life, h *coordinator.Hold) {
		held, stop := h.While(t.Context(), nil)
		time.Sleep(10 * holdTTL)
		if !h.Held() || held.Err() != nil {
			t.Fatalf("the lease was lost: %v", context.Cause(held))
		}
		stop()
		asked := l.asked.Load()
		time.Sleep(holdTTL)
		if held.Err() == nil || h.Held() || l.asked.Load() != asked {
			t.Error("it is renewed after it was to stop")
		}
		if err := h.Release(t.Context()); err != nil {
			t.Errorf("a lease that ended is no error: %v", err)
		}
	})
}

// Trouble that may pass ends a hold only when the lease may be another's by then.
func TestHoldOutlastsTrouble(t *testing.T) {
	holding(t, func(t *testing.T, l *leases, life *coordinator.Life, h *coordinator.Hold) {
		held, stop := h.While(t.Context(), nil)
		defer stop()
		l.err.Store(new(error(coordinator.ErrUnavailable)))
		time.Sleep(holdTTL / 2)
		l.err.Store(nil)
		time.Sleep(holdTTL)
		if held.Err() != nil {
			t.Fatalf("trouble of half the lease's time ended it: %v", context.Cause(held))
		}
		l.err.Store(new(error(coordinator.ErrUnavailable)))
		time.Sleep(2 * holdTTL)
		if cause := context.Cause(held); !errors.Is(cause, coordinator.ErrLeaseLost) {
			t.Errorf("trouble of twice its time: %v", cause)
		}
	})
}

// A lease that is certainly another's is lost at once.
func TestHoldIsLost(t *testing.T) {
	holding(t, func(t *testing.T, l *leases, life *coordinator.Life, h *coordinator.Hold) {
		held, stop := h.While(t.Context(), nil)
		defer stop()
		l.err.Store(new(error(coordinator.ErrLeaseHeld)))
		time.Sleep(holdTTL / 2)
		cause := context.Cause(held)
		if !errors.Is(cause, coordinator.ErrLeaseLost) || !errors.Is(cause, coordinator.ErrLeaseHeld) {
			t.Errorf("the lease is another's: %v", cause)
		}
	})
}

// A lease that ended and was taken again by its own holder, between others that nobody knows of, is
// not the same lease.
func TestHoldOfAnotherEpochIsLost(t *testing.T) {
	holding(t, func(t *testing.T, l *leases, life *coordinator.Life, h *coordinator.Hold) {
		if err := life.Release(t.Context(), h.Lease); err != nil {
			t.Fatal(err)
		}
		other, err := l.Acquire(t.Context(), life.Incarnation(), "tests", "another", holdTTL)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context(), life.Incarnation(), "tests", "another", other.Epoch); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Renew(t.Context()); !errors.Is(err, coordinator.ErrLeaseLost) {
			t.Errorf("renewed after another had it: %v", err)
		}
	})
}

// A lease that was in doubt, and nobody took, says that it was.
func TestHoldRegained(t *testing.T) {
	holding(t, func(t *testing.T, l *leases, life *coordinator.Life, h *coordinator.Hold) {
		time.Sleep(holdTTL / 2)
		if doubted, err := h.Renew(t.Context()); doubted || err != nil {
			t.Errorf("renewed in time: %v, %v", doubted, err)
		}
		time.Sleep(holdTTL)
		if h.Held() {
			t.Error("held after its end")
		}
		if doubted, err := h.Renew(t.Context()); !doubted || err != nil || !h.Held() {
			t.Errorf("renewed too late, and nobody has had it: %v, %v", doubted, err)
		}
	})
}
