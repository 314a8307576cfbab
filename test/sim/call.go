package sim

import (
	"context"
	"fmt"
	"time"
)

// boundary is what calls of one kind have in common: how long callers wait for an answer, if they
// say nothing else, and the errors of what then happens.
type boundary struct {
	patience time.Duration
	refused  error // nothing was done
	silent   error // nobody knows
}

// call makes a call across the boundary of a process. What the plan has for it happens to it. do is
// the call as the other side makes it; it may be made when the caller has gone, and twice, and so
// must not use what belongs to the caller.
func call[T any](ctx context.Context, p *process, at *boundary, name string,
	do func(ctx context.Context) (T, error)) (answer T, err error) {
	var none T
	if err := p.gate(); err != nil {
		return none, err
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	f := p.w.draw(p.name, name)
	ctx, cancel := context.WithTimeout(ctx, at.patience)
	defer cancel()
	answer, err = transmit(ctx, p, at, f, do)
	late := ctx.Err()
	if err := p.gate(); err != nil {
		return none, err
	}
	// It was frozen: of the answer and the deadline, which are both there, it may see the latter.
	if late == nil && ctx.Err() != nil && f.expires {
		answer, err = none, fmt.Errorf("%w: %w", at.silent, ctx.Err())
	}
	if f.fault != None {
		p.w.trace("%s %s: %s: %v", p.name, name, f.fault, err)
	}
	return answer, err
}

func transmit[T any](ctx context.Context, p *process, at *boundary, f fate,
	do func(ctx context.Context) (T, error)) (answer T, err error) {
	w := p.w
	give := func(cause error) (T, error) {
		var none T
		return none, fmt.Errorf("%w: %w", at.silent, cause)
	}
	later := func() {
		w.tasks.Go(func() {
			if w.sleep(f.late, nil) {
				_, _ = do(w.ctx)
			}
		})
	}
	switch f.fault {
	case LostRequest:
		return give(p.wait(ctx))
	case LateRequest:
		later()
		return give(p.wait(ctx))
	}
	if err := p.pause(ctx, f.there); err != nil {
		return give(err)
	}
	if f.fault == Refused {
		return answer, at.refused
	}
	answer, err = do(w.ctx)
	switch f.fault {
	case LostReply:
		return give(p.wait(ctx))
	case Reset:
		return give(errReset)
	case Repeated:
		if f.second {
			answer, err = do(w.ctx)
		} else {
			later()
		}
	}
	if gone := p.pause(ctx, f.back); gone != nil {
		return give(gone)
	}
	return answer, err
}

// wait waits until the caller gives up.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.died:
		return errKilled
	}
}

// pause waits for d.
func (p *process) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.died:
		return errKilled
	}
}
