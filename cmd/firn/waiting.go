package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/s3api"
)

// A start that fails for a reason that may pass is tried again, with pauses that grow from the
// first to the second of these: the machine that holds the bucket or Redis may be starting as well.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// persist starts until that succeeds, ctx ends (it then returns no node), or it fails for a reason
// that somebody has to mend. Meanwhile the node is alive and not ready, and its HTTP says what it
// waits for.
//
// What start can try again by itself it does, if retry says that the failure may pass: to begin
// anew would leave something in the bucket each time.
func persist(
	ctx context.Context, logger *slog.Logger, listeners []web, start func(retry func(error) bool) (*node, error),
) (*node, error) {
	var w *waiting
	defer func() { w.stop() }()
	retry := func(err error) bool {
		if ctx.Err() != nil || !passes(err) {
			return false
		}
		if w == nil {
			logger.Warn("this node cannot start yet, and tries again until it can", "error", err)
			w = wait(listeners, err)
		} else {
			logger.Debug("this node cannot start yet", "error", err)
			w.reason.Store(new(err.Error()))
		}
		return true
	}
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		n, err := start(retry)
		if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			logger.Info("stopped before it could start")
			return nil, nil
		}
		if err == nil || !retry(err) {
			return n, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			logger.Info("stopped before it could start")
			return nil, nil
		}
	}
}

// passes says whether a failure may end by itself, without anybody changing anything about this
// node.
func passes(err error) bool {
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	if errors.As(err, &unknown) || errors.As(err, &wrongName) {
		return false
	}
	for _, passing := range []error{s3api.ErrUnreachable, s3api.ErrTimeout, s3api.ErrBusy, segments.ErrListsLate,
		coordinator.ErrUnavailable, coordinator.ErrNotOpen} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// waiting answers over HTTP while a node cannot start.
type waiting struct {
	reason atomic.Pointer[string]
	server *http.Server
	served chan struct{}
	count  int
	bound  []net.Listener
}

// web is a listener for HTTP, or for HTTPS.
type web struct {
	net.Listener
	tls *tls.Config // or nil
}

// wait begins to answer on the listeners, which stay open when it ends.
func wait(listeners []web, reason error) *waiting {
	w := &waiting{served: make(chan struct{}, len(listeners))}
	w.reason.Store(new(reason.Error()))
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	for _, l := range listeners {
		if l.Listener != nil {
			w.count++
			w.bound = append(w.bound, l.Listener)
			served := net.Listener(kept{l.Listener})
			if l.tls != nil {
				served = tls.NewListener(served, l.tls)
			}
			go func() {
				_ = w.server.Serve(served) // ends with stop
				w.served <- struct{}{}
			}()
		}
	}
	return w
}

// stop leaves the listeners to the node.
func (w *waiting) stop() {
	if w == nil {
		return
	}
	for _, l := range w.bound {
		_ = l.(*net.TCPListener).SetDeadline(time.Unix(1, 0)) // wakes Accept
	}
	_ = w.server.Close()
	for range w.count {
		<-w.served
	}
	for _, l := range w.bound {
		_ = l.(*net.TCPListener).SetDeadline(time.Time{})
	}
}

// kept is a listener that outlives the server that is closed.
type kept struct{ net.Listener }

func (kept) Close() error { return nil }

// ServeHTTP says that the node is alive, and why it is not ready.
func (w *waiting) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/healthz" {
		fmt.Fprintln(rw, `{"status":"starting"}`)
		return
	}
	rw.Header().Set("Content-Type", "application/problem+json")
	rw.Header().Set("Retry-After", "1")
	rw.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintf(rw, "{\"status\":503,\"detail\":\"this node is starting\",\"reasons\":[%q]}\n",
		"starting: "+*w.reason.Load())
}
