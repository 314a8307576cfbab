package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/security"
	"firn.dev/groups"
	"firn.dev/health"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/ingest/costs"
	"firn.dev/kafka"
	"firn.dev/rest"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/stores"
	"firn.dev/topics"
	"firn.dev/tracing"
	"firn.dev/transactions"
)

// node is one running server: its parts, wired.
type node struct {
	started time.Time
	options *serveOptions
	logger  *slog.Logger

	health       health.Node
	tracer       *tracing.Tracer // nil: nothing is traced
	bucket       *stores.Bucket
	store        segments.Store // the bucket, measured and hedged
	ended        func() error   // closes the coordinator
	member       *coordinator.Node
	index        *index.Index
	writer       *ingest.Writer
	groups       *groups.Manager
	transactions *transactions.Manager
	kafka        *kafka.Server
	rest         *rest.Server
	tidy         *cleanup.Cleaner

	certificates *login.Certificates // or nil
	users        *login.UsersFile    // or nil
	passwords    *login.Passwords
	tokens       *login.Tokens // or nil
	secret       []byte        // of --cluster-secret-file, or nil

	kafkaAt []coordinator.Listener // as clients are told
	doors   []door
	http    net.Listener // or nil
	admin   net.Listener // or nil
}

// startNode opens the store, recovers the state from it and wires the parts. On failure it leaves
// nothing running.
func startNode(
	ctx context.Context, o *serveOptions, logger *slog.Logger, retry func(error) bool,
	certificates *login.Certificates, users *login.UsersFile, doors []door, http, admin net.Listener,
) (_ *node, err error) {
	n := &node{started: time.Now(), options: o, logger: logger, certificates: certificates, users: users,
		doors: doors, http: http, admin: admin}
	if n.secret, err = o.httpLogins.readSecret(); err != nil {
		return nil, err
	}
	for _, d := range doors {
		at, err := d.advertised()
		if err != nil {
			return nil, usagef("--%s %w", d.flag, err)
		}
		n.kafkaAt = append(n.kafkaAt, at)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		thisBuild().metric(),
	)

	if n.bucket, err = openStoreLogging(ctx, o.store, logger); err != nil {
		return nil, err
	}
	if err := n.wire(ctx, registry, retry); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.limits.drain)
		defer cancel()
		return nil, errors.Join(err, n.close(closing))
	}
	return n, nil
}

// wire makes the parts, in the order in which they rest on each other.
func (n *node) wire(ctx context.Context, registry *prometheus.Registry, retry func(error) bool) (err error) {
	o := n.options
	info := coordinator.NodeInfo{ID: o.nodeID, KafkaHost: n.kafkaAt[0].Host, KafkaPort: n.kafkaAt[0].Port,
		Listeners: n.kafkaAt, Zone: o.zone}
	if n.http != nil {
		if info.HTTP, err = o.advertisedHTTP(n.http.Addr(), info.KafkaHost); err != nil {
			return usagef("--advertise-http %w", err)
		}
	}
	depends := newDependencies()
	if n.store, err = segments.Measure(n.bucket, registry, depends.bucketDid); err != nil {
		return err
	}
	depends.probeBucket(n.store)
	err = segments.Prove(ctx, n.store)
	if errors.Is(err, segments.ErrKeepsDeleted) {
		n.logger.Warn("trying out the store", "store", n.bucket.Location, "error", err)
	} else if err != nil {
		return fmt.Errorf("trying out %s: %w", n.bucket.Location, err)
	}
	if !n.bucket.Local() {
		if n.store, err = segments.Hedge(n.store, registry); err != nil {
			return err
		}
	}
	coord, err := n.coordinator(ctx, registry, depends.coordinatorDid)
	if err != nil {
		return err
	}
	if o.traceEndpoint != noHTTP {
		n.tracer, err = tracing.New(tracing.Options{Endpoint: o.traceEndpoint, Ratio: o.traceRatio, Node: o.nodeID,
			Version: thisBuild().Version, Logger: n.logger})
		if err != nil {
			return usagef("--trace-endpoint: %w", err)
		}
	}
	n.health = depends.all()
	if err := n.health.Register(registry); err != nil {
		return err
	}
	n.member, err = coordinator.Join(ctx, coordinator.NodeOptions{
		Store: n.store, Coordinator: coord, Info: info,
		CommitDeadline: o.commitDeadline, Grace: o.gcGrace, Logger: n.logger, Registerer: registry, Retry: retry,
	})
	if err != nil {
		return fmt.Errorf("recovering the log from %s: %w", n.bucket.Location, err)
	}
	n.index, err = index.New(index.Options{
		Store: n.store, View: n.member.View(), Logger: n.logger, Registerer: registry,
		TailBytes:  o.tailBytes.at(n.bucket.Location, tailOnDisk, tailOnNetwork),
		CacheBytes: o.cacheBytes.at(n.bucket.Location, cacheOnDisk, cacheOnNetwork),
		CatchUp:    n.member.CatchUp,
	})
	if err != nil {
		return err
	}
	written, pace := n.store, (*cleanup.Pace)(nil)
	if rate := o.mergeRate.bytes(); rate > 0 {
		pace = cleanup.NewPace(rate)
		written = pace.Timed(n.store)
	}
	n.writer, err = ingest.New(ingest.Options{
		Store: written, Node: n.member, Logger: n.logger, Registerer: registry,
		FlushBytes: int(o.flushBytes), CarryBytes: o.carries(n.bucket.Location), FlushInterval: o.flushInterval,
		PutBudget: o.putBudget.at(n.bucket.Location), BudgetShared: o.putBudget.shared,
		BufferBytes: int64(o.bufferBytes), Sealed: n.index.Keep,
	})
	if err != nil {
		return err
	}
	n.groups, err = groups.New(groups.Options{
		Node: n.member, Logger: n.logger, Registerer: registry,
		InitialRebalanceDelay: orNone(o.groupRebalanceDelay), OffsetsRetention: o.offsetsRetention,
		MinSessionTimeout: o.groupMinSession, MaxSessionTimeout: o.groupMaxSession,
		ConsumerSessionTimeout: o.consumerSession, ConsumerHeartbeatInterval: o.consumerHeartbeat,
		SweepInterval: o.offsetsCheck,
		Limits:        groups.Limits{MaxMembers: o.groupMembers, OffsetMetadataBytes: int(o.offsetMetadata)},
	})
	if err != nil {
		return err
	}
	n.transactions, err = transactions.New(transactions.Options{
		Node: n.member, Writer: n.writer, Logger: n.logger, Registerer: registry,
		MaxTimeout: o.transactionMaxTimeout, Retention: o.transactionalIDRetention,
	})
	if err != nil {
		return err
	}
	ofTopics := topics.Options{AutoCreate: o.autoCreateTopics, DefaultPartitions: o.defaultPartitions}
	authorizer, err := o.access.authorizer(n.member.View(), n.logger)
	if err != nil {
		return err
	}
	n.passwords = n.allPasswords()
	quotas := security.NewQuotas(n.member.View(), n.logger)
	if n.tokens, err = o.tokens(ctx, n.logger); err != nil {
		return err
	}
	spent, err := costs.NewProducers(registry)
	if err != nil {
		return err
	}
	n.kafka, err = kafka.New(kafka.Options{
		Node: n.member, Writer: n.writer, Index: n.index, Groups: n.groups, Transactions: n.transactions,
		Logger: n.logger, Registerer: registry,
		Passwords: n.passwords, Principals: o.principals(), Tokens: n.tokens, MaxReauth: o.maxReauth,
		Topics: ofTopics, KeepPlain: o.compressPlain == batch.None.String(),
		CheckRecords: o.checkRecords, ReportedReplicationFactor: int16(o.reportedReplicas),
		Authorizer: authorizer, Quotas: quotas, Costs: spent, Tracer: n.tracer,
		LogLevel: &o.level,
		RemoteShares: func(group string, client access.Client) kafka.ShareOwner {
			if owner, another := n.rest.RemoteShares(group, client); another {
				return owner
			}
			return nil
		},
		Limits: o.limits.limits(o.requestMemory, o.answerMemory),
	})
	if err != nil {
		return err
	}
	n.rest, err = rest.New(rest.Options{
		Node: n.member, View: n.member.View(), Index: n.index, Groups: n.groups, Gatherer: registry, Registerer: registry,
		Logger: n.logger,
		Writer: n.writer, Topics: ofTopics, KeepPlain: o.compressPlain == batch.None.String(),
		Profiles: o.pprof, Authorizer: authorizer, Quotas: quotas, Health: n.health, Logins: n.logins(),
		Costs: spent, Tracer: n.tracer,
		FileUsers: n.fileUsers(),
		Peers:     n.peers(),
		TLS:       o.httpTLS(n.certificates), PeerTLS: n.certificates.Peers,
		Settings: restSettings,
		Limits: rest.Limits{
			MaxBodyBytes:       int(o.httpMaxBody),
			RequestMemoryBytes: int64(o.httpMemory),
			ReadMemoryBytes:    int64(o.httpReadMemory),
		},
	})
	if err != nil {
		return err
	}
	n.tidy, err = cleanup.New(cleanup.Options{
		Node: n.member, Store: n.store, Pace: pace, Logger: n.logger, Registerer: registry,
		CommitDeadline: o.commitDeadline, Grace: o.gcGrace, MemoryBytes: int64(o.mergeMemory),
		MapBytes: int64(o.compactMemory),
	})
	return err
}

// coordinator connects to who decides.
func (n *node) coordinator(
	ctx context.Context, registry prometheus.Registerer, told func(string, error),
) (coord coordinator.Coordinator, err error) {
	where, err := parseCoordinator(n.options.coordinator)
	if err != nil {
		return nil, usagef("--coordinator %w", err)
	}
	if where.redis != nil {
		where.redis.Told, where.redis.Logger = told, n.logger
		if where.redis.Calls, err = redis.NewCalls(registry); err != nil {
			return nil, err
		}
	}
	coord, n.ended, err = where.open(ctx, n.options.commitDeadline)
	return coord, err
}

// serve serves until ctx ends, which is the ordinary end, or the node cannot go on. HTTP goes on to
// the last, so that one can watch a node stop.
func (n *node) serve(ctx context.Context, listeners []kafka.Listener) error {
	outliving, stopHTTP := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHTTP()
	http, httpFailed := errgroup.WithContext(outliving)
	if n.http != nil {
		http.Go(func() error { return n.rest.Serve(outliving, n.http) })
	}
	if n.admin != nil {
		http.Go(func() error { return n.rest.ServeAdmin(outliving, n.admin) })
	}
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return n.kafka.Serve(serving, listeners...) })
	if n.secret == nil && n.options.proves() {
		group.Go(func() error { security.MakeSecret(serving, n.member, n.logger); return nil })
	}
	group.Go(func() error {
		select {
		case <-serving.Done():
			return nil
		case <-httpFailed.Done():
			return fmt.Errorf("HTTP is not served any more: %w", http.Wait())
		case <-n.member.Done():
			return fmt.Errorf("this node stops: %w", n.member.Err())
		}
	})
	go n.health.Watch(serving, n.logger)
	defer context.AfterFunc(serving, n.rest.Drain)()
	err := group.Wait()
	if err == nil {
		n.logger.Info("stopping: accepting no more records; writing and acknowledging those that were accepted")
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.options.limits.drain)
	defer cancel()
	closeErr := n.close(closing)
	stopHTTP()
	if httpErr := http.Wait(); closeErr == nil {
		closeErr = httpErr
	}
	if err == nil {
		return closeErr
	}
	return err // why it stopped is what matters: what went wrong afterwards follows from it
}

// orNone is a duration for options in which zero means the default, and less means none.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// close ends the parts in the reverse order of wire: what was taken is written and acknowledged
// before the membership ends.
func (n *node) close(ctx context.Context) error {
	var errs []error
	if n.tidy != nil {
		errs = append(errs, n.tidy.Close(ctx))
	}
	if n.transactions != nil {
		errs = append(errs, n.transactions.Close(ctx))
	}
	if n.writer != nil {
		errs = append(errs, n.writer.Close(ctx))
	}
	if n.groups != nil {
		errs = append(errs, n.groups.Close(ctx))
	}
	if n.index != nil {
		errs = append(errs, n.index.Close())
	}
	if n.member != nil {
		errs = append(errs, n.member.Close(ctx))
	}
	if n.ended != nil {
		errs = append(errs, n.ended())
	}
	sending, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	n.tracer.Close(sending)
	return errors.Join(append(errs, n.bucket.Close())...)
}
