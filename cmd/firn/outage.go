package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// How often a long-running client looks whether a server is there, and how long it waits for an
// answer.
const (
	pingEvery = time.Second
	pingLimit = 2 * time.Second
)

// watchServer says when no server answers any more, and when one does again, until stop is called.
// The client's own retries hide that for as long as they last. meanwhile says what becomes of the
// command.
func (b *bootstrap) watchServer(ctx context.Context, s streams, cl *kgo.Client, meanwhile string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(pingEvery)
		defer tick.Stop()
		var since time.Time // of the outage; zero: there is none
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			asked := time.Now()
			err := ping(ctx, cl)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				err = ping(ctx, cl) // on a new connection: the old one may have been closed by a server that is there
			}
			switch {
			case ctx.Err() != nil:
				return
			case err != nil && since.IsZero():
				since = asked
				s.interject("no server answers any more at %s (%v): %s", strings.Join(b.addresses, ","), reason(err), meanwhile)
			case err == nil && !since.IsZero():
				s.interject("a server answers again, after %s", time.Since(since).Round(time.Second))
				since = time.Time{}
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// ping asks whether a server is there.
func ping(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	return cl.Ping(ctx)
}

// reason is what is wrong with a connection, in few words.
func reason(err error) error {
	if op := new(net.OpError); errors.As(err, &op) {
		return op.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("nothing for " + pingLimit.String())
	}
	return err
}

// interject is note where progress may be drawn.
func (s streams) interject(format string, args ...any) {
	if s.terminal() {
		format = "\r\x1b[K" + format
	}
	s.note(format, args...)
}
