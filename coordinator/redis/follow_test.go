package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
)

// The stream is bounded, but keeps everything from the oldest unconfirmed fact on.
func TestStreamIsTrimmed(t *testing.T) {
	const retain = 64
	c := connect(t, redis.Options{Addrs: []string{redistest.Start(t).Addr}, RetainBytes: retain * 200})
	in, at := open(t, c)
	commit := func() uint64 {
		answer, err := c.Commit(t.Context(), in, request(at))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Entry.Seq
	}
	confirm := func(seq uint64) {
		if err := c.Confirm(t.Context(), in, []uint64{seq}); err != nil {
			t.Fatal(err)
		}
	}
	next := func(after uint64) (uint64, error) {
		for entry, err := range c.Follow(t.Context(), in, after) {
			return entry.Seq, err
		}
		return 0, nil
	}
	first, last := commit(), uint64(0)
	for range 8 * retain {
		last = commit()
		confirm(last)
	}
	if got, err := next(first - 1); err != nil || got != first {
		t.Errorf("an unconfirmed fact is not kept: %d, %v", got, err)
	}
	confirm(first)
	if _, err := next(first - 1); !errors.Is(err, coordinator.ErrTrimmed) {
		t.Errorf("a confirmed one is kept for ever: %v", err)
	}
	if got, err := next(last - retain/2); err != nil || got != last-retain/2+1 {
		t.Errorf("the newest are not kept: %d, %v", got, err)
	}
}

// A follower that waits ends at once with its context, and within a second or so when Redis was
// wiped, although nothing comes any more that could wake it.
func TestWaitingFollower(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	in, _ := open(t, c)
	wait := func(ctx context.Context, disturb func()) (time.Duration, error) {
		ended := make(chan error, 1)
		go func() {
			for _, err := range c.Follow(ctx, in, 2) {
				ended <- err
			}
		}()
		server.Eventually("cmd=xread", "CLIENT", "LIST", "TYPE", "normal")
		begun := time.Now()
		disturb()
		err := <-ended
		return time.Since(begun), err
	}
	ctx, cancel := context.WithCancel(t.Context())
	if took, err := wait(ctx, cancel); !errors.Is(err, context.Canceled) || took > 500*time.Millisecond {
		t.Errorf("a cancelled follower ended after %s with %v", took, err)
	}
	took, err := wait(t.Context(), func() { server.Do("FLUSHALL") })
	if !errors.Is(err, coordinator.ErrNotOpen) || took > 10*time.Second {
		t.Errorf("a follower of a wiped Redis ended after %s with %v", took, err)
	}
}
