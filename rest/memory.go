package rest

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"firn.dev/budget"
)

// ownBytes is memory that each request has beside what all share, for its body and as much for its
// answer: small ones wait for nobody.
const ownBytes = 16 << 10

// addressKey is where a request's context has the address of its client.
type addressKey struct{}

// withAddress notes where a request comes from, for the memory that it takes.
func withAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, budget.AddressOf(r.RemoteAddr))))
	})
}

func addressFrom(ctx context.Context) netip.Addr {
	address, _ := ctx.Value(addressKey{}).(netip.Addr)
	return address
}

// share is what a request holds of the memory that all share. It grows before the request does, so
// that announcing a large body costs nothing.
type share struct {
	client *budget.Client
	hold   *budget.Hold
	full   func() *problem // what a client is told for which there is no room
}

// shareOf returns a share of a pool for a request that a context belongs to. It has to be given
// back.
func shareOf(ctx context.Context, pool *budget.Pool, full func() *problem) *share {
	client := pool.Client(addressFrom(ctx))
	return &share{client: client, hold: client.Hold(), full: full}
}

// grow takes n bytes more, or fails when there is no room for them for too long.
func (s *share) grow(ctx context.Context, n int64) error {
	err := s.hold.Grow(ctx, n)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, budget.ErrTooLarge):
		p := s.full()
		p.Status, p.retryAfter, p.Detail = http.StatusRequestEntityTooLarge, 0, err.Error()
		return p
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return s.full()
}

// shrink gives all but n bytes back.
func (s *share) shrink(n int64) { s.hold.ShrinkTo(n) }

// giveBack ends the share.
func (s *share) giveBack() {
	s.hold.Release()
	s.client.Close()
}

// newRequestMemory is the memory of producers' requests: bodies, and the records made of them.
func newRequestMemory(l Limits) *budget.Pool {
	largest := int64(l.MaxBodyBytes)*2*bodyFactor + int64(l.MaxRecords)*recordOverhead
	return budget.New(budget.Options{Limit: "RequestMemoryBytes", Bytes: l.RequestMemoryBytes,
		Largest: min(largest, l.RequestMemoryBytes), Own: ownBytes, Wait: l.BusyWait})
}

// newReadMemory is the memory of answers to consumers.
func newReadMemory(l Limits) *budget.Pool {
	return budget.New(budget.Options{Limit: "ReadMemoryBytes", Bytes: l.ReadMemoryBytes,
		Largest: min(2*maxReadBytes, l.ReadMemoryBytes), Own: ownBytes, Wait: l.BusyWait})
}

// requestShare is a share of the memory of producers' requests.
func (s *Server) requestShare(r *http.Request) *share {
	return shareOf(r.Context(), s.producers.memory, func() *problem {
		p := busy("", "the requests of producers hold all the memory that there is for them, %d bytes and half for one "+
			"address (%s); nothing was written", s.opts.Limits.RequestMemoryBytes, s.setting("RequestMemoryBytes"))
		p.Limit = "RequestMemoryBytes"
		return p
	})
}

// readShare is a share of the memory of answers to consumers.
func (s *Server) readShare(ctx context.Context) *share {
	return shareOf(ctx, s.readers.memory, func() *problem {
		return full("ReadMemoryBytes", "the answers under way take all the memory that there is for them, or the half of "+
			"it that one address may have")
	})
}

// leastReadBytes is how small an answer is made before it is refused, when memory is short.
const leastReadBytes = 64 << 10

// reserve takes memory to read up to maxBytes, and for as much text. When little is left it takes
// less, a quarter of that, and returns how much there may be read: a few clients who take their
// answers slowly make the answers of all smaller instead of having them refused.
func (s *share) reserve(ctx context.Context, maxBytes int) (int, error) {
	n := min(int64(maxBytes), max(s.hold.Room()/8, leastReadBytes))
	if s.hold.TryGrow(2 * n) {
		return int(n), nil
	}
	n = min(n, leastReadBytes)
	return int(n), s.grow(ctx, 2*n)
}

// send writes a body. A client that takes it slowly is waited for, one that takes nothing is not;
// what it has taken is given back.
func (s *share) send(w http.ResponseWriter, body []byte) {
	control := http.NewResponseController(w)
	finish := time.Now().Add(sendTimeout + time.Duration(float64(len(body))/minBytesPerSecond*float64(time.Second)))
	for len(body) > 0 {
		deadline := time.Now().Add(pieceTimeout)
		if deadline.After(finish) {
			deadline = finish
		}
		_ = control.SetWriteDeadline(deadline) // which a recorder in a test does not have
		piece := body[:min(len(body), pieceBytes)]
		if _, err := w.Write(piece); err != nil {
			return // the client has gone
		}
		body = body[len(piece):]
	}
}

// How fast a client has to take an answer: each piece in some seconds, and the whole at a rate
// after sendTimeout.
const (
	pieceBytes        = 256 << 10
	pieceTimeout      = 10 * time.Second
	minBytesPerSecond = 128 << 10
)
