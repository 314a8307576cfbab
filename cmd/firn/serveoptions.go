package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/kafka"
	"firn.dev/segments/batch"
	"firn.dev/segments/stores"
	"firn.dev/tracing"
)

// serveOptions is what serve can be told, by flag or by environment.
type serveOptions struct {
	store         string
	coordinator   string
	kafkaAddr     string
	httpAddr      string
	adminAddr     string
	advertise     string
	advertiseHTTP string
	listeners     []string
	https         bool
	tls           login.Files
	// principalRules are those of ParsePrincipalRules.
	principalRules string
	usersFile      string
	maxReauth      time.Duration
	nodeID         int32
	zone           string

	flushBytes     byteSize
	carryBytes     memorySize
	flushInterval  time.Duration
	putBudget      putRate
	traceEndpoint  string
	traceRatio     float64
	bufferBytes    byteSize
	httpMaxBody    byteSize
	httpMemory     byteSize
	httpReadMemory byteSize
	requestMemory  byteSize
	answerMemory   byteSize
	cacheBytes     memorySize
	tailBytes      memorySize
	compressPlain  string
	checkRecords   string

	commitDeadline time.Duration
	gcGrace        time.Duration
	mergeRate      byteRate
	mergeMemory    byteSize
	compactMemory  byteSize

	autoCreateTopics  bool
	defaultPartitions int32
	reportedReplicas  int32

	groupRebalanceDelay time.Duration
	groupMinSession     time.Duration
	groupMaxSession     time.Duration
	consumerSession     time.Duration
	consumerHeartbeat   time.Duration
	offsetsRetention    time.Duration
	offsetsCheck        time.Duration
	groupMembers        int
	offsetMetadata      byteSize

	transactionMaxTimeout    time.Duration
	transactionalIDRetention time.Duration

	limits     limitOptions
	access     authorizerOptions
	httpLogins httpLoginOptions
	oauth      oauthOptions

	flags *pflag.FlagSet // that all of this came from

	logLevel  string
	level     slog.LevelVar // what logLevel says, until a client sets another
	logFormat string
	pprof     bool
}

// noHTTP is the --http-addr that serves no HTTP.
const noHTTP = "none"

// addNodeFlags adds the flags that serve shares with doctor: where things are, and when an object
// in the bucket is too old.
func (o *serveOptions) addNodeFlags(f *pflag.FlagSet) {
	o.flags = f
	f.StringVar(&o.store, "store", defaultStore, "`URL` of the bucket: file:///DIR, file://./DIR or a path, "+
		"s3://BUCKET/PREFIX, minio://HOST:PORT/BUCKET/PREFIX")
	f.StringVar(&o.coordinator, "coordinator", inProcess, "`URL` of the coordinator: embedded, redis://HOST:PORT or "+
		"rediss://HOST:PORT")
	f.StringVar(&o.kafkaAddr, "kafka-addr", "127.0.0.1:9092", "`host:port` to serve Kafka clients on")
	f.StringSliceVar(
		&o.listeners,
		"listener",
		nil,
		"`NAME=URL` where Kafka clients come in, instead of --kafka-addr and "+
			"--advertise; repeated: NAME=PROTOCOL://host:port?advertise=host:port, with "+
			"plaintext, ssl, sasl-plaintext or sasl-ssl",
	)
	f.StringVar(
		&o.tls.Certificate,
		"tls-cert",
		"",
		"`file` with the certificate of TLS listeners and of --https, PEM; "+
			"read again when it changes, as the files below are",
	)
	f.StringVar(&o.tls.Key, "tls-key", "", "`file` with the key of --tls-cert, PEM")
	f.StringVar(&o.tls.ClientCA, "tls-client-ca", "", "`file` with the authorities of clients' certificates, PEM")
	f.StringVar(
		&o.tls.ClientAuth,
		"tls-client-auth",
		"none",
		"whether clients show certificates: none, request or require",
	)
	f.StringVar(&o.principalRules, "tls-principal-rules", "", "`rules` that make principals of the subjects of clients' "+
		"certificates, as Kafka's ssl.principal.mapping.rules: RULE:^CN=(.*?),.*$/$1/L,DEFAULT")
	f.StringVar(&o.usersFile, "users-file", "", "`file` of the users who may log in, by SASL and on HTTP; lines of "+
		"'firn user hash'; read again when it changes")
	f.DurationVar(
		&o.maxReauth,
		"max-reauth",
		0,
		"how long a login by SASL is good for before the client has to log in "+
			"again, Kafka's connections.max.reauth.ms; 0: for ever",
	)
	f.BoolVar(&o.https, "https", false, "serve HTTPS instead of HTTP at --http-addr, with --tls-cert")
	o.httpLogins.addFlags(f)
	o.oauth.addFlags(f)
	f.StringVar(&o.httpAddr, "http-addr", "127.0.0.1:8080", "`host:port` to serve HTTP on (records, topics, groups, "+
		"health, metrics), or none")
	f.StringVar(
		&o.adminAddr,
		"admin-addr",
		noHTTP,
		"`host:port` that serves /healthz, /readyz and /metrics alone, beside "+
			"--http-addr, or none",
	)
	f.StringVar(&o.advertise, "advertise", "", "`host:port` that Kafka clients connect to (default: --kafka-addr)")
	f.StringVar(
		&o.advertiseHTTP,
		"advertise-http",
		"",
		"`host:port` at which other nodes reach this one's HTTP (default: "+
			"--http-addr, with the host of --advertise if that is every interface)",
	)
	f.DurationVar(
		&o.commitDeadline,
		"commit-deadline",
		coordinator.DefaultCommitDeadline,
		"how old a segment may be when "+
			"it gets its offsets; merging and the search for garbage begin some time later; the same on all nodes",
	)
	f.DurationVar(
		&o.gcGrace,
		"gc-grace",
		coordinator.DefaultGrace,
		"how long objects that nothing needs any more are "+
			"kept for readers that are behind; the same on all nodes",
	)
}

// addFlags adds all flags with their defaults.
func (o *serveOptions) addFlags(f *pflag.FlagSet) {
	o.addNodeFlags(f)
	f.Int32Var(&o.nodeID, "node-id", 1, "Kafka broker id of this node")
	f.StringVar(&o.zone, "zone", "", "availability zone of this node, Kafka's rack")

	o.flushBytes, o.bufferBytes = 8<<20, 256<<20
	o.httpMaxBody, o.httpMemory, o.httpReadMemory = 8<<20, 256<<20, 128<<20
	o.requestMemory, o.answerMemory = 512<<20, 512<<20
	o.cacheBytes.auto, o.tailBytes.auto = true, true
	f.Var(&o.flushBytes, "flush-bytes", "seal a segment at this size")
	o.carryBytes.auto = true
	f.Var(&o.carryBytes, "carry-bytes", "put a segment of at most this size together with its journal object, "+
		"one put instead of two; 0: none; auto: 8MiB, and 0 on a directory")
	f.DurationVar(
		&o.flushInterval,
		"flush-interval",
		250*time.Millisecond,
		"seal a segment at the latest after this long",
	)
	o.putBudget.auto = true
	f.StringVar(&o.traceEndpoint, "trace-endpoint", noHTTP,
		"`URL` of an OpenTelemetry collector that takes OTLP over HTTP, as http://127.0.0.1:4318, or none")
	f.Float64Var(&o.traceRatio, "trace-ratio", 0.01,
		"which `part` of the requests is traced whose clients do not say, 0 to 1")
	f.Var(&o.putBudget, "put-budget", "object puts per second, on average, or none; of all nodes "+
		"together: 8/cluster; auto: 8 on s3, none elsewhere")
	f.Var(
		&o.bufferBytes,
		"buffer-bytes",
		"memory for records that are not yet acknowledged; beyond it producers are slowed",
	)
	f.Var(&o.httpMaxBody, "http-max-body", "largest body of an HTTP producer's request, decompressed")
	f.Var(&o.httpMemory, "http-memory", "memory for the requests of HTTP producers; beyond it they get 429")
	f.Var(&o.httpReadMemory, "http-read-memory", "memory for the answers to HTTP consumers; less room makes answers "+
		"smaller, and beyond it they get 429")
	f.Var(&o.requestMemory, "request-memory", "memory for the requests of Kafka clients; beyond it large ones wait")
	f.Var(
		&o.answerMemory,
		"answer-memory",
		"memory for the answers to Kafka clients; less room makes Fetch responses "+
			"smaller, and other answers wait",
	)
	f.Var(
		&o.cacheBytes,
		"cache-bytes",
		"memory for blocks read from the bucket; auto: 32MiB for a directory, 64MiB elsewhere",
	)
	f.Var(
		&o.tailBytes,
		"tail-bytes",
		"memory for the newest segments, for readers at the tail; auto: 8MiB for a directory, 64MiB elsewhere",
	)
	f.StringVar(
		&o.checkRecords,
		"check-records",
		"full",
		"`extent` of the check of batches that arrive compressed: full "+
			"(every record) or headers",
	)
	f.StringVar(&o.compressPlain, "compress-plain", batch.LZ4.String(),
		"`codec` for batches that arrive uncompressed: lz4 or none")

	o.mergeRate.auto, o.mergeMemory, o.compactMemory = true, 64<<20, 64<<20
	f.Var(
		&o.mergeRate,
		"merge-rate",
		"most bytes per second that merging of small segments copies, or none; auto: 64MiB, "+
			"and less while merging slows producers",
	)
	f.Var(&o.mergeMemory, "merge-memory", "memory for merges under way")
	f.Var(
		&o.compactMemory,
		"compaction-memory",
		"memory for the keys of partitions that are compacted, 30 bytes each",
	)

	f.BoolVar(&o.autoCreateTopics, "auto-create-topics", true, "create a topic when a client first asks for it")
	f.Int32Var(
		&o.defaultPartitions,
		"default-partitions",
		1,
		"partitions of a topic that is created without a number of them",
	)
	f.Int32Var(&o.reportedReplicas, "reported-replication-factor", 0, "replication factor of every topic, as Kafka "+
		"clients are told; 0: what each was created with")

	f.DurationVar(
		&o.groupRebalanceDelay,
		"group-rebalance-delay",
		200*time.Millisecond,
		"how long the first rebalance of "+
			"an empty consumer group waits for more members",
	)
	f.DurationVar(&o.groupMinSession, "group-min-session-timeout", 6*time.Second,
		"shortest session timeout of members of classic groups")
	f.DurationVar(&o.groupMaxSession, "group-max-session-timeout", 30*time.Minute,
		"longest session timeout of members of classic groups")
	f.DurationVar(&o.consumerSession, "consumer-session-timeout", 45*time.Second,
		"session timeout of members of consumer groups (KIP-848)")
	f.DurationVar(&o.consumerHeartbeat, "consumer-heartbeat-interval", 5*time.Second,
		"how often members of consumer groups (KIP-848) are to send heartbeats")
	f.DurationVar(
		&o.offsetsRetention,
		"offsets-retention",
		7*24*time.Hour,
		"how long the committed offsets of a consumer "+
			"group without members are kept",
	)
	f.DurationVar(&o.offsetsCheck, "offsets-check-interval", 10*time.Minute,
		"how often offsets, and groups without offsets, are looked for that are too old")
	f.IntVar(&o.groupMembers, "group-max-size", 1000, "members of one consumer group, of either protocol")
	o.offsetMetadata = 4 << 10
	f.Var(&o.offsetMetadata, "offset-metadata-max-bytes", "metadata with one committed offset")
	f.DurationVar(&o.transactionMaxTimeout, "transaction-max-timeout", 15*time.Minute,
		"longest timeout of transactions that producers may ask for")
	f.DurationVar(&o.transactionalIDRetention, "transactional-id-retention", 7*24*time.Hour,
		"how long a transactional id is remembered that no producer uses")

	o.limits.addFlags(f)
	o.access.addFlags(f)

	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.BoolVar(
		&o.pprof,
		"pprof",
		false,
		"serve Go's profiles at /debug/pprof/ of --http-addr, to this machine alone; not "+
			"behind a proxy",
	)
}

// validate reports every problem at once, each naming its flag. It fills in what follows from other
// flags.
func (o *serveOptions) validate() error {
	var problems []error
	check := func(flag string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("--%s %w", flag, err))
		}
	}
	o.checkNodeFlags(check)
	check("node-id", within(int64(o.nodeID), 0, math.MaxInt32))
	if o.adminAddr != noHTTP {
		check("admin-addr", checkAddress(o.adminAddr, 0))
	}
	check("flush-bytes", within(int64(o.flushBytes), 1<<10, 1<<30))
	check("carry-bytes", within(int64(o.carryBytes.byteSize), 0, int64(o.flushBytes)))
	check("flush-interval", within(o.flushInterval, time.Millisecond, time.Minute))
	if o.traceEndpoint != noHTTP {
		check("trace-endpoint", tracing.CheckEndpoint(o.traceEndpoint))
	}
	if !(o.traceRatio >= 0 && o.traceRatio <= 1) {
		check("trace-ratio", fmt.Errorf("%v is not between 0 and 1", o.traceRatio))
	}
	if o.putBudget.perSecond < 0 {
		check("put-budget", fmt.Errorf("%v is negative", o.putBudget.perSecond))
	}
	check("buffer-bytes", within(int64(o.bufferBytes), int64(o.flushBytes), math.MaxInt64))
	check("http-max-body", within(int64(o.httpMaxBody), 1<<10, 1<<30))
	check("http-memory", within(int64(o.httpMemory), 4*int64(o.httpMaxBody), math.MaxInt64))
	check("http-read-memory", within(int64(o.httpReadMemory), 16<<20, math.MaxInt64))
	check("request-memory", within(int64(o.requestMemory), kafka.MinMemoryBytes, math.MaxInt64))
	check("answer-memory", within(int64(o.answerMemory), kafka.MinMemoryBytes, math.MaxInt64))
	check("cache-bytes", o.cacheBytes.check())
	check("tail-bytes", o.tailBytes.check())
	check("compress-plain", oneOf(o.compressPlain, batch.LZ4.String(), batch.None.String()))
	check("check-records", oneOf(o.checkRecords, "full", "headers"))
	check("merge-rate", o.mergeRate.check())
	check("merge-memory", within(int64(o.mergeMemory), 32<<20, math.MaxInt64))
	check("compaction-memory", within(int64(o.compactMemory), 1<<20, math.MaxInt64))
	check("default-partitions", within(int64(o.defaultPartitions), 1, 10_000))
	check("reported-replication-factor", within(int64(o.reportedReplicas), 0, kafka.MaxReplicas))
	check("group-rebalance-delay", within(o.groupRebalanceDelay, 0, 5*time.Minute))
	check("group-min-session-timeout", within(o.groupMinSession, time.Millisecond, o.groupMaxSession))
	check("group-max-session-timeout", within(o.groupMaxSession, time.Millisecond, 24*time.Hour))
	check("consumer-session-timeout", within(o.consumerSession, dynamicconfig.MinConsumerSession*time.Millisecond,
		dynamicconfig.MaxConsumerSession*time.Millisecond))
	check("consumer-heartbeat-interval", within(o.consumerHeartbeat,
		dynamicconfig.MinConsumerHeartbeat*time.Millisecond, o.consumerSession-1))
	check("offsets-retention", within(o.offsetsRetention, time.Minute, math.MaxInt64))
	check("offsets-check-interval", within(o.offsetsCheck, time.Second, 24*time.Hour))
	check("group-max-size", within(int64(o.groupMembers), 1, 100_000))
	check("offset-metadata-max-bytes", within(int64(o.offsetMetadata), 1, 64<<10))
	check("transaction-max-timeout", within(o.transactionMaxTimeout, time.Second, 24*time.Hour))
	check("transactional-id-retention", within(o.transactionalIDRetention, time.Hour, math.MaxInt64))
	o.limits.validate(check, o.requestMemory, o.answerMemory)
	o.access.validate(check)
	check("log-level", oneOf(o.logLevel, "debug", "info", "warn", "error"))
	check("log-format", oneOf(o.logFormat, "text", "json"))
	if len(problems) > 0 {
		return &usageError{errors.Join(problems...)}
	}
	return nil
}

// checkNodeFlags checks the flags of addNodeFlags.
func (o *serveOptions) checkNodeFlags(check func(flag string, err error)) {
	_, err := stores.Parse(o.store)
	check("store", err)
	_, err = parseCoordinator(o.coordinator)
	check("coordinator", err)
	check("commit-deadline", within(o.commitDeadline, time.Second, 24*time.Hour))
	check("gc-grace", within(o.gcGrace, time.Second, 30*24*time.Hour))
	o.checkListeners(check)
	o.httpLogins.validate(check)
	o.oauth.validate(check)
	if o.httpAddr != noHTTP {
		check("http-addr", checkAddress(o.httpAddr, 0))
	}
	if o.advertiseHTTP != "" {
		check("advertise-http", checkAdvertised(o.advertiseHTTP))
	}
}

// checkAddress wants host:port with a port from lowest on: 0 means "any free one".
func checkAddress(addr string, lowest uint64) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < lowest {
		return fmt.Errorf("%q: the port is not a number from %d to 65535", addr, lowest)
	}
	return nil
}

// checkAdvertised wants an address that others can come to.
func checkAdvertised(addr string) error {
	if err := checkAddress(addr, 1); err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(addr); everywhere(host) {
		return fmt.Errorf(
			"%q names every interface, and no client can connect to that; name the host by which others "+
				"reach this node",
			addr,
		)
	}
	return nil
}

// everywhere says whether a listener on host takes connections on every interface. Resolvers take a
// bare 0 for 0.0.0.0.
func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || host == "0" || err == nil && ip.Unmap().WithZone("").IsUnspecified()
}

func within[N int64 | time.Duration](n, low, high N) error {
	if n < low {
		return fmt.Errorf("%v is less than %v", n, low)
	}
	if n > high {
		return fmt.Errorf("%v is more than %v", n, high)
	}
	return nil
}

func oneOf(text string, choices ...string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(choices, ", "))
}

// logger returns the logger that the flags ask for.
func (o *serveOptions) logger(s streams) *slog.Logger {
	o.level.UnmarshalText([]byte(o.logLevel)) // validated
	return newLogger(s.Err, o.logFormat, &o.level)
}

// advertisedHTTP is the host:port at which other nodes find this one's HTTP, given the address that
// was bound: they forward requests about a group to the node that owns it. Where Kafka clients find
// this node, other nodes do as well.
func (o *serveOptions) advertisedHTTP(bound net.Addr, kafkaHost string) (string, error) {
	if o.advertiseHTTP != "" {
		return o.httpScheme() + o.advertiseHTTP, nil
	}
	named, _, _ := net.SplitHostPort(o.httpAddr)
	if everywhere(named) {
		named = kafkaHost
	}
	addr, err := withPortOf(named, bound)
	return o.httpScheme() + addr, err
}

// httpScheme is what other nodes have to be told of the protocol: nothing means HTTP without TLS.
func (o *serveOptions) httpScheme() string {
	if o.https {
		return "https://"
	}
	return ""
}

// withPortOf is a host with the port that was bound.
func withPortOf(host string, bound net.Addr) (string, error) {
	_, port, err := net.SplitHostPort(bound.String())
	return net.JoinHostPort(host, port), err
}

// carries is the size up to which segments are put with their journal object. On a directory that
// saves little: both are files of one disk, which are written at once.
func (o *serveOptions) carries(p stores.Location) int {
	return int(min(o.carryBytes.at(p, 0, 8<<20), int64(o.flushBytes)))
}
