package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of a connection. A client that sends its headers drop by drop, or does not read its
// answer, is let go.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 90 * time.Second // a profile takes 30 seconds by default
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 32 << 10
	shutdownTimeout   = 5 * time.Second
)

// Serve accepts connections until ctx ends; then it accepts no more, answers what is under way and
// returns. Call Drain some time before, so that load balancers learn of it from /readyz.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var remembering sync.WaitGroup
	remembering.Go(func() { s.remember(ctx) })
	defer remembering.Wait()
	defer cancel()
	return s.serve(ctx, l, s.opts.TLS, s)
}

// complaints are what http.Server says of connections. Of handshakes that fail there may be as many
// as strangers like.
type complaints struct{ logger *slog.Logger }

// Write implements io.Writer.
func (c complaints) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		level = slog.LevelDebug
	}
	c.logger.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

// ServeAdmin is Serve for a listener that has probes and metrics alone.
func (s *Server) ServeAdmin(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, nil, s.admin)
}

func (s *Server) serve(ctx context.Context, l net.Listener, secure *tls.Config, handler http.Handler) error {
	limited := newLimited(l, s.opts.Limits, s.opts.Quotas.Connect)
	limited.refused = s.requests.connectionsRefused
	l = limited
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       log.New(complaints{s.opts.Logger}, "", 0),
		ConnContext:    withConnection,
		ConnState:      s.noteState,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	s.Drain()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(closing)
	if errors.Is(err, context.DeadlineExceeded) { // whoever is not done by now is cut off
		err = server.Close()
	}
	<-served
	return err
}
