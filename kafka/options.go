package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/ingest/costs"
	"firn.dev/topics"
	"firn.dev/tracing"
	"firn.dev/transactions"
)

// Options is what a Server needs. Zero values of the limits mean their defaults.
type Options struct {
	Node         *coordinator.Node
	Writer       *ingest.Writer
	Index        *index.Index
	Groups       *groups.Manager
	Transactions *transactions.Manager
	Logger       *slog.Logger
	LogLevel     *slog.LevelVar // of Logger, which clients may set; nil: they change nothing
	Registerer   prometheus.Registerer
	// RemoteShares returns who asks the owner of a share group that is another node's, for a client;
	// nil if the group is this node's. Without it, share groups are served by their owners alone.
	RemoteShares func(group string, client access.Client) ShareOwner
	Passwords    *login.Passwords // of listeners with SASL; nil: no mechanism with passwords
	Principals   login.PrincipalRules
	Tokens       *login.Tokens // of listeners with SASL; nil: no OAUTHBEARER
	MaxReauth    time.Duration // how long a login is good for: Kafka's connections.max.reauth.ms; 0: for ever

	Authorizer access.Authorizer // says what clients may do; nil: access.Everything
	Quotas     *security.Quotas  // say how much clients may use; nil: those of the node, counted here alone

	Topics topics.Options // limits and defaults of topics

	ReportedReplicationFactor int16 // of every topic, as clients are told; 0: what each was created with

	Tracer *tracing.Tracer // of requests; nil: none is traced

	Costs *costs.Producers // counts what producers send; nil: it is not counted

	KeepPlain    bool   // batches that arrive uncompressed stay so; otherwise LZ4, where that is smaller
	CheckRecords string // "full" (default) or "headers": what is looked at of batches that arrive compressed

	Limits Limits
}

// Limits bound what clients can make a server hold, and see to it that each gets its part. An error
// that a limit causes names it.
//
// Memory is shared as package budget says: a connection has ConnectionBytes of its own for what it
// asks and as much for the answer, so small requests wait for nobody; a quarter of
// RequestMemoryBytes and of AnswerMemoryBytes is a reserve for connections that hold little; the
// connections of one address hold half of either at most. In all a server holds no more than
// MaxConnections * (2*ConnectionBytes + 32 KiB) + RequestMemoryBytes + AnswerMemoryBytes.
type Limits struct {
	MaxConnections      int // in all; 10,000
	MaxConnectionsPerIP int // from one address; 5,000

	MaxRequestBytes      int // of a Produce request: Kafka's socket.request.max.bytes, 100 MiB
	MaxAdminRequestBytes int // of any other request; 1 MiB, which is a Fetch of 30,000 partitions
	MaxInFlight          int // requests of one connection that are read and not answered; 32
	MaxInFlightBytes     int // of the same; 16 MiB. A larger request has the connection to itself

	ConnectionBytes    int64 // of small requests, and of small answers, of one connection; 16 KiB each
	RequestMemoryBytes int64 // of all other requests that are being read or answered; 512 MiB. More makes connections wait
	// of all other answers that are made or written; 512 MiB. Less room makes Fetch responses smaller,
	// and other answers wait
	AnswerMemoryBytes int64
	FetchMaxBytes     int // of one Fetch response: Kafka's fetch.max.bytes, 55 MiB; a first batch may be larger

	// connections whose clients have not yet proved who they are; 1,000. One more closes the oldest
	MaxStrangers int
	LoginTimeout time.Duration // for that proof: TLS and SASL; 10 s
	IdleTimeout  time.Duration // between requests: Kafka's connections.max.idle.ms, 10 min
	// for each piece (at most 256 KiB) of a request that has begun, and for room in
	// RequestMemoryBytes; 30 s
	ReadTimeout  time.Duration
	WriteTimeout time.Duration // for each piece (at most 1 MiB) of a response; 30 s
	DrainTimeout time.Duration // for requests under way when the server stops; 30 s

	// MinBytesPerSecond is how fast a client has to send a request and take an answer, on the whole,
	// after the first ReadTimeout or WriteTimeout: a client that sends or takes a few bytes now and
	// then would hold memory for hours. 128 KiB.
	MinBytesPerSecond int
}

// MinMemoryBytes is what RequestMemoryBytes and AnswerMemoryBytes have to be at least: room for the
// largest request, or batch.
const MinMemoryBytes = defaultMaxRequestBytes

const defaultMaxRequestBytes = 100 << 20

// withDefaults returns the options with every zero value replaced by its default.
func (o Options) withDefaults() Options {
	o.Topics = o.Topics.WithDefaults()
	o.CheckRecords = cmp.Or(o.CheckRecords, "full")
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.LogLevel == nil {
		o.LogLevel = new(slog.LevelVar)
	}
	if o.Authorizer == nil {
		o.Authorizer = access.Everything{}
	}
	if o.Quotas == nil {
		o.Quotas = &security.Quotas{} // which limits nobody
		if o.Node != nil {
			o.Quotas = security.NewQuotas(o.Node.View(), o.Logger)
		}
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	o.Limits = o.Limits.WithDefaults()
	return o
}

// WithDefaults returns the limits with every zero value replaced by its default.
func (l Limits) WithDefaults() Limits {
	l.MaxConnections = cmp.Or(l.MaxConnections, 10_000)
	l.MaxConnectionsPerIP = cmp.Or(l.MaxConnectionsPerIP, 5_000)
	l.MaxRequestBytes = cmp.Or(l.MaxRequestBytes, defaultMaxRequestBytes)
	l.MaxAdminRequestBytes = cmp.Or(l.MaxAdminRequestBytes, 1<<20)
	l.MaxInFlight = cmp.Or(l.MaxInFlight, 32)
	l.MaxInFlightBytes = cmp.Or(l.MaxInFlightBytes, 16<<20)
	l.RequestMemoryBytes = cmp.Or(l.RequestMemoryBytes, 512<<20)
	l.FetchMaxBytes = cmp.Or(l.FetchMaxBytes, 55<<20)
	l.AnswerMemoryBytes = cmp.Or(l.AnswerMemoryBytes, 512<<20)
	l.ConnectionBytes = cmp.Or(l.ConnectionBytes, 16<<10)
	l.MinBytesPerSecond = cmp.Or(l.MinBytesPerSecond, 128<<10)
	l.MaxStrangers = cmp.Or(l.MaxStrangers, 1000)
	l.LoginTimeout = cmp.Or(l.LoginTimeout, 10*time.Second)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 10*time.Minute)
	l.ReadTimeout = cmp.Or(l.ReadTimeout, 30*time.Second)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 30*time.Second)
	l.DrainTimeout = cmp.Or(l.DrainTimeout, 30*time.Second)
	return l
}

// validate reports every problem of options that have their defaults.
func (o Options) validate() error {
	problems := []error{o.Topics.Validate()}
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf("kafka: "+format, args...))
		}
	}
	l := o.Limits
	bad(o.ReportedReplicationFactor < 0 || o.ReportedReplicationFactor > MaxReplicas,
		"ReportedReplicationFactor is %d; it must be 0 to %d", o.ReportedReplicationFactor, MaxReplicas)
	bad(
		o.CheckRecords != "full" && o.CheckRecords != "headers",
		"CheckRecords is %q, neither full nor headers",
		o.CheckRecords,
	)
	bad(
		min(l.MaxStrangers, l.MaxConnections, l.MaxConnectionsPerIP, l.MaxInFlight, l.MaxInFlightBytes) < 1,
		"a limit of connections or requests in flight is below 1",
	)
	bad(
		min(l.MaxRequestBytes, l.MaxAdminRequestBytes, l.FetchMaxBytes) < 1,
		"a limit of request or response bytes is below 1",
	)
	bad(l.ConnectionBytes < 1 || l.MinBytesPerSecond < 1, "ConnectionBytes or MinBytesPerSecond is below 1")
	bad(int64(max(l.MaxRequestBytes, l.MaxAdminRequestBytes)) > l.RequestMemoryBytes,
		"RequestMemoryBytes (%d) holds no request of MaxRequestBytes (%d) or MaxAdminRequestBytes (%d)",
		l.RequestMemoryBytes, l.MaxRequestBytes, l.MaxAdminRequestBytes)
	bad(
		int64(max(l.FetchMaxBytes, l.MaxRequestBytes)) > l.AnswerMemoryBytes,
		"AnswerMemoryBytes (%d) holds no response of FetchMaxBytes (%d) or no batch of MaxRequestBytes (%d)",
		l.AnswerMemoryBytes,
		l.FetchMaxBytes,
		l.MaxRequestBytes,
	)
	bad(
		min(l.LoginTimeout, l.IdleTimeout, l.ReadTimeout, l.WriteTimeout, l.DrainTimeout) < 0,
		"a timeout is negative",
	)
	return errors.Join(problems...)
}
