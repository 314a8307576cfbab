package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

// DirectOptions is what a Direct needs. Zero values of the rest mean their defaults.
type DirectOptions struct {
	Store       segments.Store
	Coordinator coordinator.GuestCoordinator
	Who         string // for people, in the objects that it creates; the host and process by default
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	Clock       func() time.Time // this machine's, which may be wrong; time.Now

	MaxBytes      int           // of the batches of one Write; 64 MiB
	TopicLifetime time.Duration // how long a topic's partition count and configs are taken for granted; a minute
}

func (o DirectOptions) withDefaults() DirectOptions {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Who == "" {
		host, _ := os.Hostname()
		o.Who = fmt.Sprintf("direct writer on %s, process %d", host, os.Getpid())
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 20
	}
	if o.TopicLifetime == 0 {
		o.TopicLifetime = time.Minute
	}
	return o
}

func (o DirectOptions) validate() error {
	var errs []error
	if o.Store == nil {
		errs = append(errs, errors.New("ingest: Store is missing"))
	}
	if o.Coordinator == nil {
		errs = append(errs, errors.New("ingest: Coordinator is missing"))
	}
	if o.MaxBytes < 0 || o.MaxBytes > maxFlushBytes {
		errs = append(errs, fmt.Errorf("ingest: MaxBytes %d lies outside 1 to %d", o.MaxBytes, maxFlushBytes))
	}
	return errors.Join(errs...)
}

// Direct is the write path without a node: inside a function that lives for moments, with the
// bucket and the coordinator and nothing between. Each Write puts one segment, commits it, journals
// that, and returns when the records can be read everywhere. Nothing of it runs between two calls,
// so the process may be frozen and thawed whenever it likes, also in the middle of a call:
// direct_delivery.go says what becomes of that.
//
// Open it once for each process and use it for all invocations: the first Write begins a journal
// chain in the bucket, and later ones go on with it. Calls are made one after the other; concurrent
// ones wait for each other.
type Direct struct {
	opts    DirectOptions
	guest   *coordinator.Guest
	puts    *uploader
	metrics *metrics
	prepare Preparer
	topics  map[string]knownTopic
	turn    chan struct{} // of one element: held by the call that is being made
}

// knownTopic is a topic as it was looked up.
type knownTopic struct {
	fact   coordinator.TopicFact
	config topicconfig.Config
	at     time.Time
}

// maxKnownTopics bounds them. When there are as many all are forgotten, which costs a look-up each.
const maxKnownTopics = 1000

// OpenDirect returns a direct writer. It asks nobody anything yet: the first Write does.
func OpenDirect(_ context.Context, opts DirectOptions) (*Direct, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	guest, err := coordinator.NewGuest(coordinator.GuestOptions{Store: opts.Store, Coordinator: opts.Coordinator,
		Who:    opts.Who,
		Logger: opts.Logger, Registerer: opts.Registerer})
	if err != nil {
		return nil, err
	}
	d := &Direct{opts: opts, guest: guest, prepare: Preparer{CompressPlain: true, MaxDecompressed: opts.MaxBytes},
		topics: map[string]knownTopic{}, turn: make(chan struct{}, 1)}
	d.metrics = newMetrics(opts.Registerer, new(atomic.Int64))
	d.puts = newUploader(opts.Store, segments.NewSlowness(segments.SlowPuts), newBudget(0, nil), d.metrics, opts.Logger)
	return d, nil
}

// Written says where a record is.
type Written struct {
	Partition int32
	Offset    int64
	Timestamp int64 // milliseconds, as stored
}

// Write writes the records, those of one partition as one batch, and returns where each is, once
// all are durable and readable everywhere. A call that fails has written all of them or none: none
// after every error but ErrInDoubt, after which they may be written.
//
// A Write is made once, however often it has to try on the way. Made again by the caller, after
// ErrInDoubt or because the process died, it writes the records once more, unless both had the same
// IdempotencyKey.
func (d *Direct) Write(ctx context.Context, topic string, records []Record, options ...WriteOption) ([]Written, error) {
	if len(records) == 0 {
		return nil, nil
	}
	r := Request{Records: records}
	for _, o := range options {
		o(&r)
	}
	outcomes, err := d.WriteAll(ctx, topic, []Request{r})
	if err != nil {
		return nil, err
	}
	return outcomes[0].Written, outcomes[0].Err
}

// WriteAll writes several requests at the cost of one. Each has its own key and its own outcome, as
// if one Write followed the other in this order. An error means that none has an outcome; after
// ErrInDoubt some may be written all the same.
func (d *Direct) WriteAll(ctx context.Context, topic string, requests []Request) ([]Outcome, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	defer d.leave()
	all := make([]*writing, len(requests))
	for i, r := range requests {
		all[i] = d.begin(r)
	}
	if err := d.write(ctx, topic, all); err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(all))
	for i, w := range all {
		outcomes[i] = w.Outcome
	}
	return outcomes, nil
}

func (d *Direct) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritten, err)
	}
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w, waiting for another call of this writer", ErrNotWritten, ctx.Err())
	}
}

func (d *Direct) leave() { <-d.turn }
