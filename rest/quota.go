package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/access/quota"
)

// withinQuota has the requests of a route counted against quotas, the same as those of Kafka
// clients. A client that is over one gets 429, and what it is served it may use up to the end; a
// stream, which has no end, is slowed instead (awaitQuota).
func (s *Server) withinQuota(unlimited *route) *route {
	route := *unlimited
	if route.quota == access.Unthrottled {
		return &route
	}
	route.handler = func(w http.ResponseWriter, r *http.Request) error {
		by := quotaClient(r)
		for _, q := range [...]access.Quota{route.quota, access.Requests} {
			if wait := s.opts.Quotas.Wait(q, by); wait > 0 {
				return overQuota(q, by, wait)
			}
		}
		use := func(n int) { s.opts.Quotas.Use(route.quota, by, float64(n)) }
		switch route.quota {
		case access.ProducedBytes:
			r.Body = &countedBody{r.Body, use}
		case access.FetchedBytes:
			w = &countedAnswer{w, use}
		case access.Requests:
			if route.method == http.MethodGet { // others wait for the coordinator, which costs this node nothing
				began, waits := time.Now(), new(peerWaits)
				r = r.WithContext(context.WithValue(r.Context(), peerWaitsKey{}, waits))
				defer func() {
					s.opts.Quotas.Use(access.Requests, by, (time.Since(began) - time.Duration(waits.Load())).Seconds())
				}()
			}
		}
		return unlimited.handler(w, r)
	}
	return &route
}

// peerWaits is how many nanoseconds a request has waited for other nodes, which costs this node
// nothing either.
type peerWaits = atomic.Int64

// peerWaitsKey is where a request's context has its peerWaits.
type peerWaitsKey struct{}

// awaitPeers runs what waits for other nodes, and counts for how long that was.
func awaitPeers(ctx context.Context, wait func()) {
	if waits, counted := ctx.Value(peerWaitsKey{}).(*peerWaits); counted {
		began := time.Now()
		defer func() { waits.Add(int64(time.Since(began))) }()
	}
	wait()
}

// quotaClient is who makes a request, as quotas know it.
func quotaClient(r *http.Request) quota.Client {
	return quota.Client{User: askerOf(r).Client.Principal.Name}
}

// overQuota is what a client gets that has used up a quota.
func overQuota(q access.Quota, by quota.Client, wait time.Duration) *problem {
	return &problem{Status: http.StatusTooManyRequests, Code: kerr.ThrottlingQuotaExceeded.Message, Limit: q.String(),
		Detail:     fmt.Sprintf("the quota %s of User:%s is used up for now; try again later", q, by.User),
		retryAfter: wait + time.Second - 1} // whole seconds are told
}

// mutates counts partitions that a client is about to create or delete, unless it has used up its
// quota.
func (s *Server) mutates(r *http.Request, partitions int32) error {
	by := quotaClient(r)
	if wait := s.opts.Quotas.Wait(access.Mutations, by); wait > 0 {
		return overQuota(access.Mutations, by, wait)
	}
	s.opts.Quotas.Use(access.Mutations, by, float64(partitions))
	return nil
}

// awaitQuota waits while the client of a stream is over a quota, or until the stream has to end.
func (s *Server) awaitQuota(r *http.Request, q access.Quota) {
	by := quotaClient(r)
	for wait := s.opts.Quotas.Wait(q, by); wait > 0; wait = s.opts.Quotas.Wait(q, by) {
		select {
		case <-time.After(wait):
		case <-s.readers.stopping.Done():
			return
		case <-r.Context().Done():
			return
		}
	}
}

// countedBody counts what is read of a request's body.
type countedBody struct {
	io.ReadCloser
	use func(int)
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.use(n)
	return n, err
}

// countedAnswer counts what is written of an answer, before it is compressed.
type countedAnswer struct {
	http.ResponseWriter
	use func(int)
}

func (a *countedAnswer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.use(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *countedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
