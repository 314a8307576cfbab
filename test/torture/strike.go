package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"firn.dev/test/process"
)

// Strike is how a server's life is ended.
type Strike string

// The strikes.
const (
	Kill      Strike = "kill"      // kill -9, sometimes before the server is up
	Terminate Strike = "terminate" // SIGTERM: it drains, and its exit status is 0
	Takeover  Strike = "takeover"  // a second server on the same directory: the first must notice, say so and end
	FillDisk  Strike = "fill-disk" // the file system that the directory is on has no room for a while: it needs root
)

// String and Set make it a flag.
func (s *Strike) String() string { return string(*s) }

// Set reads the flag.
func (s *Strike) Set(text string) error {
	if !slices.Contains([]Strike{Kill, Terminate, Takeover, FillDisk}, Strike(text)) {
		return fmt.Errorf("want kill, terminate, takeover or fill-disk")
	}
	*s = Strike(text)
	return nil
}

// patience is how long a server may take to start, drain, or notice that it was fenced.
const patience = 30 * time.Second

// statusTakenOver is the exit status of a server whose directory another has taken over.
const statusTakenOver = 3

// target is the server under torture: one process after another on one directory.
type target struct {
	specs    []process.Spec // a takeover needs two sets of addresses, the others one
	live     *process.Process
	disk     *disk           // that its directory is on, if that is a file system of its own
	restarts []time.Duration // from the start of each process until it answered
	ends     []time.Duration // how long a server took to end by itself
	strikes  int
}

// addrs are the Kafka addresses at which some process may be.
func (t *target) addrs() []string {
	var addrs []string
	for _, spec := range t.specs {
		addrs = append(addrs, spec.Kafka)
	}
	return addrs
}

// start starts a server on the addresses that are not in use and waits until it answers.
func (t *target) start(ctx context.Context) error {
	next, err := process.Start(t.specs[t.strikes%len(t.specs)])
	if err != nil {
		return err
	}
	t.live = next
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	took, err := next.Ready(ctx)
	if err != nil {
		return err
	}
	t.restarts = append(t.restarts, took)
	return nil
}

// strike ends the live server's life and returns when the next one answers.
func (t *target) strike(ctx context.Context, how Strike, random *rand.Rand) error {
	before := t.live
	t.strikes++
	switch how {
	case Terminate:
		if err := t.terminate(ctx, before); err != nil {
			return err
		}
	case Takeover:
		return t.takeover(ctx, before)
	case FillDisk:
		return t.disk.fillFor(ctx, time.Duration(random.Int64N(int64(mostFull))), random.Int64N(mostLeft))
	default:
		before.Kill()
		if random.IntN(4) == 0 {
			if err := t.stillborn(random); err != nil {
				return err
			}
		}
	}
	return t.start(ctx)
}

// stillborn starts a server and kills it while it recovers.
func (t *target) stillborn(random *rand.Rand) error {
	p, err := process.Start(t.specs[0])
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
	p.Kill()
	t.strikes++
	return nil
}

// terminate has the server drain.
func (t *target) terminate(ctx context.Context, p *process.Process) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked := time.Now()
	status, err := p.Terminate(ctx)
	if err != nil {
		return err
	}
	if status != 0 {
		return fmt.Errorf("the server drained with exit status %d:\n%s", status, p.Output())
	}
	t.ends = append(t.ends, time.Since(asked))
	return nil
}

// takeover starts the next server on the same directory, and waits for the one before to notice.
func (t *target) takeover(ctx context.Context, before *process.Process) error {
	err := t.start(ctx)
	if err != nil {
		before.Kill()
		return err
	}
	ready := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status, err := before.Wait(ctx)
	if err != nil {
		return fmt.Errorf("another server has taken the directory over, and the first goes on: %w", err)
	}
	t.ends = append(t.ends, time.Since(ready))
	if output := before.Output(); status != statusTakenOver || !strings.Contains(output, "fenced") {
		return fmt.Errorf("a fenced server ended with exit status %d, not %d, or without saying that it was fenced:\n%s",
			status, statusTakenOver, output)
	}
	return nil
}

// stop ends the live server for good.
func (t *target) stop() {
	if t.live != nil {
		t.live.Kill()
	}
	if t.disk != nil {
		t.disk.close()
	}
}
