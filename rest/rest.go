// Package rest is Firn's HTTP front door: whether the process is alive and ready, its metrics, its profiles, and a page that says what
// there is. Every error is a problem document (RFC 9457).
package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"firn/coordinator"
	"firn/segments"
)

// Node is what the HTTP server asks of this process's membership; coordinator.Node is the one.
type Node interface {
	// Life returns once the node lives, or with ErrFenced when it never will again, or with ctx's error.
	Life(ctx context.Context) (*coordinator.Life, error)
	// Err says why the node cannot go on, or nil.
	Err() error
}

// View is what the HTTP server needs to know of topics; coordinator.View is the one.
type View interface {
	ClusterID() string
	Topics() []*coordinator.Topic
	Partition(p segments.Partition) (coordinator.PartitionInfo, bool)
}

var (
	_ Node = (*coordinator.Node)(nil)
	_ View = (*coordinator.View)(nil)
)

// Options is what a Server needs. Zero values of the numbers mean their defaults.
type Options struct {
	Node       Node
	View       View
	Gatherer   prometheus.Gatherer   // what /metrics gives out
	Registerer prometheus.Registerer // where the gauges of partitions are added, usually the same registry
	Logger     *slog.Logger

	// MaxTopics and MaxPartitions bound the series in /metrics: topics are labelled, in the order of their names, as long as they and
	// their partitions fit. All others are added up under the topic "(others)", which no topic can be called.
	MaxTopics     int // 100
	MaxPartitions int // 2,000

	MaxConnections int // 512
}

const (
	defaultMaxTopics      = 100
	defaultMaxPartitions  = 2000
	defaultMaxConnections = 512
)

// Server answers HTTP requests.
type Server struct {
	opts     Options
	mux      *http.ServeMux
	draining atomic.Bool
	scrapes  chan struct{} // a place for each scrape under way
}

// New returns a server.
func New(opts Options) (*Server, error) {
	if opts.Node == nil || opts.View == nil || opts.Gatherer == nil {
		return nil, errors.New("rest: Node, View and Gatherer are required")
	}
	fill := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	fill(&opts.MaxTopics, defaultMaxTopics)
	fill(&opts.MaxPartitions, defaultMaxPartitions)
	fill(&opts.MaxConnections, defaultMaxConnections)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: opts, mux: http.NewServeMux(), scrapes: make(chan struct{}, maxScrapes)}
	if opts.Registerer != nil {
		if err := opts.Registerer.Register(&partitionGauges{opts.View, opts.MaxTopics, opts.MaxPartitions}); err != nil {
			return nil, fmt.Errorf("rest: %w", err)
		}
	}
	s.routes()
	return s, nil
}

// routes is the whole of what is served.
func (s *Server) routes() {
	s.mux.Handle("/healthz", reading(http.HandlerFunc(s.healthz)))
	s.mux.Handle("/readyz", reading(http.HandlerFunc(s.readyz)))
	s.mux.Handle("/metrics", reading(s.metrics()))
	s.mux.Handle("/debug/pprof/", loopbackOnly(profiles()))
	s.mux.Handle("/", reading(http.HandlerFunc(s.home)))
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	s.mux.ServeHTTP(w, r)
}

// Drain makes /readyz say that this node is stopping, so that no new work is sent here. Everything is served on.
func (s *Server) Drain() { s.draining.Store(true) }

// reading lets GET and HEAD pass.
func reading(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, problem{Status: http.StatusMethodNotAllowed, Detail: r.URL.Path + " is there to be read: GET or HEAD"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
