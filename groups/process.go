package groups

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/groups/internal/protocol"
	"firn.dev/retry"
)

// Processing is offsets of claims on their way to be committed in one step with the records that
// follow from what the holder read: an atomic request. Until its End nobody else gets the claims,
// and nothing else is committed under them. docs/internals/transactions.md has the rules.
type Processing struct {
	Offsets coordinator.CommitOffsets // of the request: coordinator.Atomic

	t       *shardOwnership
	l       *hostedGroup
	planned []ClaimCommit
}

// Process begins to commit offsets under claims, together with records, and answers for each claim
// as CommitClaims does; CONCURRENT_TRANSACTIONS says that another request under it is on its way.
// If one is refused nothing is begun, and the Processing is nil. Else End has to be called.
func (m *Manager) Process(ctx context.Context, group, holder string, commits []ClaimCommit) (*Processing,
	[]*kerr.Error, *kerr.Error) {
	answers := make([]*kerr.Error, len(commits))
	t, err := m.ownership(ctx, group)
	if err != nil {
		return nil, nil, m.told(err)
	}
	l, err := t.enter(group, false)
	switch {
	case err != nil:
		return nil, nil, m.told(err)
	case l == nil:
		fenceAll(answers)
		return nil, answers, nil
	}
	p := &Processing{t: t, l: l}
	err = m.begin(ctx, p, holder, commits, answers)
	if err != nil || p.planned == nil {
		t.leave(l)
		return nil, answers, m.told(err)
	}
	return p, answers, nil
}

// begin plans the commit, in the order of all commits of the group.
func (m *Manager) begin(ctx context.Context, p *Processing, holder string, commits []ClaimCommit,
	answers []*kerr.Error) error {
	for _, c := range commits {
		if m.beyond(c) {
			if err := m.opts.Node.CatchUp(ctx); err != nil {
				return err
			}
			break
		}
	}
	if refused := m.mayStore(p.l.name); refused != nil {
		return refused
	}
	return p.t.alone(ctx, p.l, func() error {
		return p.l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
			c, refused := g.AsClaims()
			if refused != nil {
				return refused
			}
			planned := m.plan(now, p.l.name, c, holder, commits, answers)
			if len(planned) < len(commits) {
				return nil
			}
			s := &m.shards[p.t.shard]
			s.requests.begin()
			p.planned = planned
			p.Offsets = coordinator.CommitOffsets{Lease: p.t.lease.Name, Epoch: p.t.lease.Epoch, Version: s.nextVersion(),
				Group: p.l.name, Offsets: offsetsOf(planned)}
			for _, commit := range planned {
				c.Process(commit.Partition)
			}
			return nil
		})
	})
}

// Outcome is what became of a Processing.
type Outcome int

// The outcomes. Undone is certain: it is not written and never will be. Doubtful is neither.
const (
	Done Outcome = iota
	Undone
	Doubtful
)

// End says what became of it. Done means that the request is complete: all of it is below the high
// watermarks.
func (p *Processing) End(o Outcome) {
	m := p.t.m
	p.l.step(func(now time.Time, g *protocol.Group) {
		c, is := g.Claims()
		for _, commit := range p.planned {
			if is {
				c.Processed(now, commit.Held, o == Done && commit.Release)
			}
		}
	})
	if o == Done {
		m.metrics.commits.Add(float64(len(p.planned)))
	}
	p.t.leave(p.l)
	requests := &m.shards[p.t.shard].requests
	if o != Doubtful {
		requests.end()
		return
	}
	p.t.end()
	m.tasks.Go(func() {
		p.t.outdate(m.ctx)
		requests.end()
	})
}

// EndWith ends it as outcome says, once done is closed; in doubt, if this node stops before. The
// channel that it returns is closed then.
func (p *Processing) EndWith(done <-chan struct{}, outcome func() Outcome) <-chan struct{} {
	ended := make(chan struct{})
	m := p.t.m
	m.tasks.Go(func() {
		defer close(ended)
		select {
		case <-done:
			p.End(outcome())
		case <-m.ctx.Done():
			p.End(Doubtful)
		}
	})
	return ended
}

// outdate sees to it that the epoch of an ownership that has ended is nobody's any more: what was
// sent under it, and may still arrive, is refused then. A lease that is given back has another
// epoch the next time. One that has expired would not have, so it is renewed first.
func (t *shardOwnership) outdate(ctx context.Context) {
	again := retry.Backoff{First: 50 * time.Millisecond, Most: time.Second}
	for n := 0; ; n++ {
		_, err := t.lease.Renew(ctx)
		if err == nil {
			if err = t.life.Release(ctx, t.lease.Lease); err == nil {
				return
			}
		} else if class := coordinator.ClassOf(err); class == coordinator.ClassLater || class == coordinator.ClassNewLife {
			return // another has it, or it has another epoch
		}
		select {
		case <-t.life.Ended():
			return
		default:
		}
		if again.Pause(ctx, n) != nil {
			return
		}
	}
}

// inFlight counts requests that are on their way.
type inFlight struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when there are none any more
}

func (f *inFlight) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n == 0 {
		f.none = make(chan struct{})
	}
	f.n++
}

func (f *inFlight) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 {
		close(f.none)
	}
}

// wait waits until there are none.
func (f *inFlight) wait(ctx context.Context) error {
	f.mu.Lock()
	n, none := f.n, f.none
	f.mu.Unlock()
	if n == 0 {
		return nil
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
