package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

const (
	followBatch = 128
	// followBlock is how long a follower waits before it looks whether the state can still be trusted.
	// News come at once.
	followBlock = time.Second
)

// Follow implements coordinator.Log. It reads a generation's stream without a script: where the
// generation cannot be trusted nobody appends to it, so that it is, at worst, the beginning of the
// true one. Between reads Follow looks whether the generation can still be trusted.
func (c *Coordinator) Follow(
	ctx context.Context, in coordinator.Incarnation, after uint64,
) iter.Seq2[coordinator.Entry, error] {
	return func(yield func(coordinator.Entry, error) bool) {
		lines := lines{dial: c.dial}
		f := follower{c: c, in: in, after: after, client: c.opts.connect(1, lines.connect)}
		defer f.client.Close()
		defer context.AfterFunc(ctx, lines.cut)()
		for {
			entries, err := f.read(ctx)
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(coordinator.Entry{}, err)
				return
			}
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
			}
		}
	}
}

// lines are a follower's connections: its own, because only closing them interrupts
// a read that blocks.
type lines struct {
	dial dialer

	mu    sync.Mutex
	over  bool
	conns []net.Conn
}

func (l *lines) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := l.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		conn.Close()
		return nil, net.ErrClosed
	}
	l.conns = append(l.conns, conn)
	return conn, nil
}

// cut closes the connections that there are and will be.
func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, conn := range l.conns {
		conn.Close()
	}
}

// follower reads one incarnation's stream.
type follower struct {
	c       *Coordinator
	in      coordinator.Incarnation
	after   uint64 // number of the last entry read
	client  redis.UniversalClient
	g       generation
	checked time.Time // when the generation was last known to be current
}

// read waits for entries, for a while.
func (f *follower) read(ctx context.Context) ([]coordinator.Entry, error) {
	if time.Since(f.checked) >= followBlock {
		if _, err := f.c.Settled(ctx, f.in); err != nil {
			return nil, err
		}
		var err error
		if f.g, err = f.c.generation(ctx, f.in); err != nil {
			return nil, err
		}
		f.checked = time.Now()
	}
	streams, err := f.client.XRead(ctx, &redis.XReadArgs{
		Streams: []string{f.g.stream(), fmt.Sprintf("%d-0", f.after)}, Count: followBatch, Block: followBlock}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("redis, following: %w", err)
	}
	var entries []coordinator.Entry
	for _, stream := range streams {
		for _, message := range stream.Messages {
			entry, err := f.entry(message)
			if err != nil {
				return entries, err
			}
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

// entry makes an entry of a message, which has one field.
func (f *follower) entry(message redis.XMessage) (coordinator.Entry, error) {
	if _, closed := message.Values["closed"]; closed {
		return coordinator.Entry{}, fmt.Errorf("%w (a later one was opened)", coordinator.ErrIncarnation)
	}
	number, _, _ := strings.Cut(message.ID, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return coordinator.Entry{}, fmt.Errorf("redis: entry %q: %w", message.ID, err)
	}
	if seq != f.after+1 {
		return coordinator.Entry{}, fmt.Errorf("%w: after %d comes %d", coordinator.ErrTrimmed, f.after, seq)
	}
	f.after = seq
	entry := coordinator.Entry{Seq: seq}
	for field, value := range message.Values {
		text, _ := value.(string)
		switch field {
		case "commit":
			entry.Fact, err = commitFact(f.in, text)
		case "fact":
			entry.Fact, err = coordinator.DecodeFact([]byte(text))
		case "offsets":
			entry.Fact, err = offsetsFact(text)
		case "ids":
			entry.Fact, err = idsFact(f.in, text)
		case "confirmed":
			entry.Confirmed, err = parseNumbers(text)
		default:
			err = fmt.Errorf("%w: field %q", coordinator.ErrNewer, field)
		}
	}
	if err != nil {
		return coordinator.Entry{}, fmt.Errorf("redis: entry %d: %w", seq, err)
	}
	return entry, nil
}

// commitFact makes the fact of a segment's id and chunk.
func commitFact(in coordinator.Incarnation, text string) (*coordinator.Fact, error) {
	r := reader{rest: []byte(text)}
	id := segments.ID(r.bytes(16))
	if r.err != nil {
		return nil, r.err
	}
	commit, _, err := decodeChunk(id, r.rest)
	if err != nil {
		return nil, err
	}
	return &coordinator.Fact{Incarnation: in, Commit: commit}, nil
}

func parseNumbers(list string) ([]uint64, error) {
	var numbers []uint64
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
