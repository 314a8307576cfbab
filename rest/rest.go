// Package rest is Firn's HTTP front door: records in and out, whether the process is alive and
// ready, its metrics, its profiles, and a page that says what there is. routes.go lists all of it.
// Every error is a problem document (RFC 9457).
package rest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/groups"
	"firn.dev/health"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/ingest/costs"
	"firn.dev/segments"
	"firn.dev/topics"
	"firn.dev/tracing"
)

// Node is what the HTTP server asks of this process's membership; coordinator.Node is the one.
type Node interface {
	// Life returns once the node lives, or with ErrFenced when it never will again, or with ctx's
	// error.
	Life(ctx context.Context) (*coordinator.Life, error)
	// Err says why the node cannot go on, or nil.
	Err() error
	// Change makes a change of topics, and returns once the View shows it.
	Change(ctx context.Context, change coordinator.Change) (coordinator.Fact, error)
	// CatchUp returns once the View shows all that any node has told anybody before the call.
	CatchUp(ctx context.Context) error
	// View is the log as this node knows it.
	View() *coordinator.View
	// Nodes returns the nodes that are alive, ordered by id.
	Nodes() []coordinator.NodeInfo
	// Info is how this node was introduced to the others.
	Info() coordinator.NodeInfo
}

// View is what the HTTP server needs to know of topics; coordinator.View is the one.
type View interface {
	ClusterID() string
	TopicCount() int
	Topics() []*coordinator.Topic
	Topic(name string) *coordinator.Topic
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
	Tracer     *tracing.Tracer   // of requests; nil: none is traced
	Health     health.Node       // what this node depends on: /readyz tells of outages
	Authorizer access.Authorizer // says what clients may do; nil: access.Everything
	Logins     *Logins           // how clients prove who they are; nil: everybody is User:ANONYMOUS
	FileUsers  access.Users      // those that no client can change, and whom Logins asks first; nil: none
	Quotas     *security.Quotas  // say how much clients may use; nil: those of the node, counted here alone
	Peers      *login.Peers      // proves to other nodes who asks; nil: they are not told, and nor is this one

	// MaxTopics and MaxPartitions bound the series in /metrics: topics are labelled, in the order of
	// their names, as long as they and their partitions fit. All others are added up under the topic
	// "(others)", which no topic can be called.
	MaxTopics     int // 100
	MaxPartitions int // 2,000

	HistoryPeriod time.Duration // how often a sample is taken for the last hour; 10 s

	// Writer takes the records of producers. Without one, no paths for producers are served.
	Writer    *ingest.Writer
	Topics    topics.Options // limits and defaults of topics
	KeepPlain bool           // batches of producers stay uncompressed; otherwise LZ4, where that is smaller

	// Index and Groups are for consumers, and for those who manage topics and groups. Without them, no
	// paths for either are served.
	Index  *index.Index
	Groups *groups.Manager

	Costs *costs.Producers // what Kafka's producers send to this node; nil: that is not known

	// Profiles serves Go's profiles at /debug/pprof/, to this machine alone. They show what is in
	// memory, and a proxy on this machine that does not say that it is one would hand them on; so they
	// are off unless somebody asks for them.
	Profiles bool

	TLS     *tls.Config        // for HTTPS; nil: HTTP
	PeerTLS func() *tls.Config // for connections to other nodes that serve HTTPS; asked for each of them

	// Settings are the names by which the program that serves sets options, such as its flags.
	// Answers name the setting that a limit or a refusal comes from, and the option where it has no
	// name here.
	Settings map[string]string

	Limits Limits
}

// setting is what answers call an option.
func (s *Server) setting(option string) string { return cmp.Or(s.opts.Settings[option], option) }

// Limits keep one client from costing another its service. Zero values mean the defaults. Errors
// name the fields.
type Limits struct {
	MaxConnections      int   // open at once; 4,096. Beyond it only probes and scrapes are answered
	MaxConnectionsPerIP int   // open at once from one address; 2,048. Beyond it as well
	MaxBodyBytes        int   // of one request, after decompression; 8 MiB
	MaxRecords          int   // of one request; 100,000
	RequestMemoryBytes  int64 // of all requests' bodies and records under way, as they are in memory; 256 MiB
	// how long a request waits for a part of RequestMemoryBytes or of the write buffer before it gets
	// 429; 1 s
	BusyWait           time.Duration
	WriteTimeout       time.Duration // how long a producer waits for its records to be durable before it gets 504; 30 s
	MaxIdempotencyKeys int           // remembered in the cluster; 1,000,000
	ReadMemoryBytes    int64         // of all answers to consumers under way; 128 MiB
	MaxLongPolls       int           // requests that wait for records; 2,048
	MaxTails           int           // tails of topics; 512
}

const (
	defaultMaxTopics     = 100
	defaultMaxPartitions = 2000
)

// withDefaults returns the limits with every zero value replaced by its default.
func (l Limits) withDefaults() Limits {
	l.MaxConnections = cmp.Or(l.MaxConnections, 4096)
	l.MaxConnectionsPerIP = cmp.Or(l.MaxConnectionsPerIP, 2048)
	l.MaxBodyBytes = cmp.Or(l.MaxBodyBytes, 8<<20)
	l.MaxRecords = cmp.Or(l.MaxRecords, 100_000)
	l.RequestMemoryBytes = cmp.Or(l.RequestMemoryBytes, 256<<20)
	l.BusyWait = cmp.Or(l.BusyWait, time.Second)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 30*time.Second)
	l.MaxIdempotencyKeys = cmp.Or(l.MaxIdempotencyKeys, 1_000_000)
	l.ReadMemoryBytes = cmp.Or(l.ReadMemoryBytes, 128<<20)
	l.MaxLongPolls = cmp.Or(l.MaxLongPolls, 2048)
	l.MaxTails = cmp.Or(l.MaxTails, 512)
	return l
}

// Server answers HTTP requests.
type Server struct {
	opts      Options
	topics    *topics.Topics
	security  *security.Admin
	audit     *access.Audit
	logins    *prometheus.CounterVec // scheme, result
	mux       *http.ServeMux
	handler   http.Handler // the mux, guarded
	admin     http.Handler // probes and metrics alone
	compress  func(http.Handler) http.HandlerFunc
	draining  atomic.Bool
	scrapes   chan struct{} // a place for each scrape under way
	readers   *readers
	producers *producers
	history   *history
	requests  *requestMetrics
	// connections are those that are open, of all listeners.
	connections atomic.Int64
	peers       *http.Client // for other nodes
	owners      http.Handler // forwards to the node that owns a group
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
	opts.HistoryPeriod = cmp.Or(opts.HistoryPeriod, historyPeriod)
	opts.Limits = opts.Limits.withDefaults()
	if l := opts.Limits; l.RequestMemoryBytes < 2*bodyFactor*int64(l.MaxBodyBytes) {
		return nil, fmt.Errorf("rest: RequestMemoryBytes (%d) holds no compressed body of MaxBodyBytes (%d), which may "+
			"take %d times that", l.RequestMemoryBytes, l.MaxBodyBytes, 2*bodyFactor)
	}
	if opts.Authorizer == nil {
		opts.Authorizer = access.Everything{}
	}
	opts.Topics = opts.Topics.WithDefaults()
	if err := opts.Topics.Validate(); err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Quotas == nil {
		opts.Quotas = security.NewQuotas(opts.Node.View(), opts.Logger)
	}
	s := &Server{opts: opts, topics: topics.New(opts.Node, opts.Topics),
		security: security.NewAdmin(opts.Node, opts.Authorizer, opts.Quotas), audit: access.NewAudit(opts.Logger),
		mux:     http.NewServeMux(),
		scrapes: make(chan struct{}, maxScrapes), readers: newReaders(opts.Limits), history: newHistory()}
	s.peers = newPeers(opts.PeerTLS)
	s.owners = s.newForwarder()
	if opts.Writer != nil {
		s.producers = newProducers(opts)
	}
	if opts.Registerer != nil {
		if err := opts.Registerer.Register(&partitionGauges{opts.View, opts.MaxTopics, opts.MaxPartitions}); err != nil {
			return nil, fmt.Errorf("rest: %w", err)
		}
	}
	s.requests = newRequestMetrics(opts.Registerer, s)
	var err error
	if s.logins, err = newLoginCounter(opts.Registerer); err != nil {
		return nil, fmt.Errorf("rest: %w", err)
	}
	compress, err := newCompressor()
	if err != nil {
		return nil, fmt.Errorf("rest: %w", err)
	}
	s.compress, s.handler = compress, probesFirst(s.mux, lingering(withAddress(s.knownHost(sameOrigin(s.mux)))))
	if err := checkRoutes(s.routeList()); err != nil {
		return nil, err
	}
	s.routes()
	s.admin = s.adminRoutes()
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	s.handler.ServeHTTP(w, r)
}

// Drain makes /readyz say that this node is stopping, so that no new work is sent here, and ends
// the requests that wait for records. Everything is served on.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.readers.stop()
}
