package coordinatortest

import (
	"reflect"
	"testing"
	"time"

	"firn.dev/coordinator"
)

func testLeases(t *testing.T, f *fixture) {
	ctx := t.Context()
	before, err := f.Now(ctx, f.in)
	if err != nil || time.Since(before).Abs() > 24*time.Hour {
		t.Errorf("it is %v, %v", before, err)
	}
	f.Advance(TTL + 1)
	if after, err := f.Now(ctx, f.in); err != nil || after.Sub(before) < TTL {
		t.Errorf("it is %v, %v; it was %v", after, err, before)
	}
	a, err := f.Acquire(ctx, f.in, "l", "a", TTL)
	if err != nil || a.Holder != "a" || a.Name != "l" || a.Expires <= 0 || a.Expires > TTL {
		t.Fatalf("first acquire: %+v, %v", a, err)
	}
	held, err := f.Acquire(ctx, f.in, "l", "b", TTL)
	f.want("acquire what another holds", err, coordinator.ErrLeaseHeld)
	if held.Holder != "a" || held.Epoch != a.Epoch || held.Expires <= 0 || held.Expires > TTL {
		t.Errorf("the lease that is held: %+v", held)
	}
	renewed, err := f.Acquire(ctx, f.in, "l", "a", TTL)
	if err != nil || renewed.Epoch != a.Epoch {
		t.Errorf("renewed: %+v, %v, epoch was %d", renewed, err, a.Epoch)
	}
	if _, err := f.Acquire(ctx, f.in, "other", "b", TTL); err != nil {
		t.Errorf("another lease: %v", err)
	}
	f.Advance(TTL + 1)
	f.want("release what has expired", f.Release(ctx, f.in, "l", "a", a.Epoch), coordinator.ErrLeaseLost)
	b, err := f.Acquire(ctx, f.in, "l", "b", TTL)
	if err != nil || b.Epoch <= a.Epoch {
		t.Errorf("after it expired: %+v, %v, epoch was %d", b, err, a.Epoch)
	}
	f.want("release by an old holder", f.Release(ctx, f.in, "l", "a", a.Epoch), coordinator.ErrLeaseLost)
	f.want("release with an old epoch", f.Release(ctx, f.in, "l", "b", a.Epoch), coordinator.ErrLeaseLost)
	f.want("release", f.Release(ctx, f.in, "l", "b", b.Epoch), nil)
	c, err := f.Acquire(ctx, f.in, "l", "c", TTL)
	if err != nil || c.Epoch <= b.Epoch {
		t.Errorf("after it was released: %+v, %v, epoch was %d", c, err, b.Epoch)
	}
	f.open()
	d, err := f.Acquire(ctx, f.in, "l", "d", TTL)
	if err != nil || d.Epoch <= c.Epoch {
		t.Errorf("in the next incarnation: %+v, %v, epoch was %d", d, err, c.Epoch)
	}
}

func testRegistry(t *testing.T, f *fixture) {
	ctx := t.Context()
	two := coordinator.NodeInfo{ID: 2, Life: "x", KafkaHost: "h", KafkaPort: 9092, HTTP: "h:80", Zone: "z",
		Listeners: []coordinator.Listener{{Name: "in", Host: "h", Port: 9092}, {Name: "out", Host: "o", Port: 9093}}}
	f.want("register", f.Register(ctx, f.in, two, TTL), nil)
	f.want("register", f.Register(ctx, f.in, coordinator.NodeInfo{ID: 1}, TTL), nil)
	nodes, err := f.Nodes(ctx, f.in)
	if err != nil || len(nodes) != 2 || nodes[0].ID != 1 || !reflect.DeepEqual(nodes[1], two) {
		t.Errorf("nodes are %+v, %v", nodes, err)
	}
	f.want("leave", f.Register(ctx, f.in, coordinator.NodeInfo{ID: 1}, 0), nil)
	if nodes, err = f.Nodes(ctx, f.in); err != nil || len(nodes) != 1 {
		t.Errorf("after one left: %+v, %v", nodes, err)
	}
	f.Advance(TTL + 1)
	if nodes, err = f.Nodes(ctx, f.in); err != nil || len(nodes) != 0 {
		t.Errorf("after the other fell silent: %+v, %v", nodes, err)
	}
}
