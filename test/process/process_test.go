package process

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newServer starts the one other server that is built from this tree.
func newServer(t *testing.T) *Process {
	t.Helper()
	bin, err := Build(t.Context(), t.TempDir(), "firn.dev/test/bench/kfake")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := NewSpec([]string{bin, "--kafka-addr", "{kafka}", "--data", "{dir}"}, filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestLife(t *testing.T) {
	p := newServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if took, err := p.Ready(ctx); err != nil || took <= 0 {
		t.Fatalf("Ready() = %v, %v", took, err)
	}
	if u, err := p.Usage(); err != nil || u.PeakBytes < 1<<20 {
		t.Errorf("Usage() = %+v, %v", u, err)
	}
	if status, err := p.Terminate(ctx); err != nil || status != 0 {
		t.Errorf("Terminate() = %d, %v", status, err)
	}
	if _, err := p.Ready(ctx); err == nil || !strings.Contains(err.Error(), "ended before it answered") {
		t.Errorf("Ready() of a dead server = %v", err)
	}
}

func TestKill(t *testing.T) {
	p := newServer(t)
	p.Kill()
	select {
	case <-p.Done():
	default:
		t.Error("Kill returned before the process had ended")
	}
}

func TestWaitGivesUp(t *testing.T) {
	p := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Wait(ctx); err == nil {
		t.Error("a server that goes on was said to have ended by itself")
	}
	<-p.Done() // killed
}
