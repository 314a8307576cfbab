package budget

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Pool is an amount of memory that clients share.
type Pool struct {
	opts     Options
	most     [2]int64 // that each class may use: the small ones the whole pool, the large ones all but the reserve
	mostEach [2]int64 // that the holds of each class of one address may use

	mu        sync.Mutex
	used      [2]int64 // by class
	own       int64    // used of what clients have of their own
	count     uint64   // of the requests so far that have asked the pool for something
	addresses map[netip.Addr]*address
	waiting   []*waiter // the oldest request first
}

// class says whom a hold competes with.
type class uint8

const (
	small class = iota
	large
)

// address is the clients at one address.
type address struct {
	clients int
	used    [2]int64
	parked  int64 // of that, what requests hold that wait for more
}

// Client is one connection.
type Client struct {
	pool    *Pool
	key     netip.Addr
	address *address
	own     int64 // used of its own memory
	small   int64 // used of the reserve
}

// Hold is what one request holds. Its methods are safe for concurrent use.
type Hold struct {
	client *Client
	own    int64
	taken  int64 // from the pool
	class  class // of taken
	age    uint64
}

// waiter is a request that waits for more memory.
type waiter struct {
	hold *Hold
	need int64
	told chan bool // of one element: whether it has the memory now, or has to give up
}

// New returns a pool.
func New(opts Options) *Pool {
	opts = opts.withDefaults()
	reserve := min(opts.Bytes/4, opts.Bytes-opts.Largest)
	share := min(max(opts.Bytes/2, opts.Largest), opts.Bytes-reserve)
	opts.Small = min(opts.Small, reserve/2) // what the reserve has no room for shares the rest
	return &Pool{
		opts:      opts,
		most:      [2]int64{opts.Bytes, opts.Bytes - reserve},
		mostEach:  [2]int64{reserve / 2, share},
		addresses: map[netip.Addr]*address{},
	}
}

// Used is how many of the pool's bytes are taken, and Own how many of what clients have beside
// them.
func (p *Pool) Used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used[small] + p.used[large]
}

// Own is how much clients use of their own memory.
func (p *Pool) Own() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.own
}

// Client returns a client at an address. It has to be closed. What its holds have taken counts for
// its address until they give it back, also after that.
func (p *Pool) Client(at netip.Addr) *Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.addresses[at]
	if a == nil {
		a = &address{}
		p.addresses[at] = a
	}
	a.clients++
	return &Client{pool: p, key: at, address: a}
}

// Close forgets the client.
func (c *Client) Close() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.address.clients--
	c.pool.forget(c)
}

// forget forgets the address of a client once nobody is there any more and nothing is held.
func (p *Pool) forget(c *Client) {
	if a := c.address; a.clients == 0 && a.used == [2]int64{} {
		delete(p.addresses, c.key)
	}
}

// Pressure says how much of what the client may take, with a request that is not small, is taken,
// by itself and others: from 0 to 1.
func (c *Client) Pressure() float64 {
	p := c.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := func(used, most int64) float64 { return float64(used) / float64(most) }
	return max(taken(p.used[large], p.most[large]), taken(p.used[small]+p.used[large], p.opts.Bytes),
		taken(c.address.used[large], p.mostEach[large]))
}

// Hold returns a hold of nothing.
func (c *Client) Hold() *Hold { return &Hold{client: c} }

// Held is how much the request holds.
func (h *Hold) Held() int64 {
	h.client.pool.mu.Lock()
	defer h.client.pool.mu.Unlock()
	return h.own + h.taken
}

// Room is about how much more the request could have at once.
func (h *Hold) Room() int64 {
	c, p := h.client, h.client.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	room := min(p.most[large]-p.used[large], p.opts.Bytes-p.used[small]-p.used[large],
		p.mostEach[large]-c.address.used[large])
	return max(room, 0)
}

// Grow takes n bytes more, or returns an error that names the limit when there is no room for too
// long.
func (h *Hold) Grow(ctx context.Context, n int64) error {
	w, err := h.grow(n)
	if w == nil {
		return err
	}
	return h.client.pool.wait(ctx, w)
}

// TryGrow takes n bytes more if nobody has to wait for it.
func (h *Hold) TryGrow(n int64) bool {
	w, err := h.grow(n)
	if w != nil {
		return h.client.pool.leave(w)
	}
	return err == nil
}

// grow takes n bytes if there is room. Otherwise the request waits, as a waiter.
func (h *Hold) grow(n int64) (*waiter, error) {
	c, p := h.client, h.client.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case n <= 0:
		return nil, nil
	case h.taken == 0 && c.own+n <= p.opts.Own:
		h.own += n
		c.own += n
		p.own += n
		return nil, nil
	case h.taken+n > p.mostEach[large] && !h.fits(n):
		return nil, fmt.Errorf("%w: %s is %d and gives the clients of one address %d at most; the request needs %d",
			ErrTooLarge, p.opts.Limit, p.opts.Bytes, p.mostEach[large], h.taken+n)
	}
	if h.age == 0 {
		p.count++
		h.age = p.count
	}
	if len(p.waiting) == 0 && h.fits(n) {
		h.take(n)
		return nil, nil
	}
	w := &waiter{hold: h, need: n, told: make(chan bool, 1)}
	p.park(w)
	p.serve()
	return w, nil
}

// wait waits until a waiter was told, or has waited for too long.
func (p *Pool) wait(ctx context.Context, w *waiter) error {
	select {
	case given := <-w.told: // at once, as a rule
		return p.outcome(given, nil)
	default:
	}
	var timeout <-chan time.Time
	if p.opts.Wait > 0 {
		timer := time.NewTimer(p.opts.Wait)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case given := <-w.told:
		return p.outcome(given, nil)
	case <-timeout:
		return p.outcome(p.leave(w), nil)
	case <-ctx.Done():
		return p.outcome(p.leave(w), context.Cause(ctx))
	}
}

func (p *Pool) outcome(given bool, cause error) error {
	switch {
	case given:
		return nil
	case cause != nil:
		return fmt.Errorf("%w: %s (%d bytes): %w", ErrFull, p.opts.Limit, p.opts.Bytes, cause)
	}
	return fmt.Errorf("%w: %s (%d bytes)", ErrFull, p.opts.Limit, p.opts.Bytes)
}

// leave ends the waiting of a request that has waited for too long. It may have been given what it
// waited for at that very moment.
func (p *Pool) leave(w *waiter) (given bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := slices.Index(p.waiting, w); at >= 0 {
		p.unpark(at)
		p.serve()
		return false
	}
	return <-w.told
}

// ShrinkTo gives all but n bytes back.
func (h *Hold) ShrinkTo(n int64) {
	h.client.pool.mu.Lock()
	defer h.client.pool.mu.Unlock()
	h.giveBack(h.own + h.taken - n)
}

// Shrink gives n bytes back.
func (h *Hold) Shrink(n int64) {
	h.client.pool.mu.Lock()
	defer h.client.pool.mu.Unlock()
	h.giveBack(min(n, h.own+h.taken))
}

// giveBack gives bytes of the pool back, then the client's own. The caller holds mu.
func (h *Hold) giveBack(free int64) {
	c, p := h.client, h.client.pool
	if free <= 0 {
		return
	}
	if pooled := min(free, h.taken); pooled > 0 {
		h.count(-pooled)
		free -= pooled
		p.forget(c)
		p.serve()
	}
	h.own -= free
	c.own -= free
	p.own -= free
}

// Release gives everything back.
func (h *Hold) Release() { h.ShrinkTo(0) }

// classFor is the class that a hold is in with n bytes more.
func (h *Hold) classFor(n int64) class {
	if h.taken > 0 && h.class == large {
		return large
	}
	if h.client.small+n <= h.client.pool.opts.Small {
		return small
	}
	return large
}

// fitsShare says whether n bytes more fit into the share of the request's address, and fits whether
// they fit into the pool as well.
func (h *Hold) fitsShare(n int64) bool {
	to, a := h.classFor(n), h.client.address
	if to != h.class {
		n += h.taken // moves along
	}
	return a.used[to]+n <= h.client.pool.mostEach[to]
}

func (h *Hold) fitsPool(n int64) bool {
	to, p := h.classFor(n), h.client.pool
	if p.used[small]+p.used[large]+n > p.opts.Bytes {
		return false
	}
	if to != h.class {
		n += h.taken
	}
	return p.used[to]+n <= p.most[to]
}

func (h *Hold) fits(n int64) bool { return h.fitsShare(n) && h.fitsPool(n) }

// take takes n bytes that fit.
func (h *Hold) take(n int64) {
	if to := h.classFor(n); to != h.class {
		n += h.taken
		h.count(-h.taken)
		h.class = to
	}
	h.count(n)
}

// count adds n bytes to what the hold has taken, everywhere.
func (h *Hold) count(n int64) {
	h.taken += n
	h.client.address.used[h.class] += n
	h.client.pool.used[h.class] += n
	if h.class == small {
		h.client.small += n
	}
	if h.taken == 0 {
		h.class = small
	}
}
