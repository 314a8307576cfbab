package transactions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/retry"
	"firn.dev/segments"
)

// Errors of this package, beside coordinator's.
var (
	// ErrTimeout is returned by Begin for a timeout that is not above 0, or is above
	// Options.MaxTimeout. The caller asks for another.
	ErrTimeout = errors.New("the transaction timeout is not allowed")
	// ErrTooMany is returned by Begin for a new id when there are Options.MaxIDs already. Ids that
	// nobody uses go after Options.Retention.
	ErrTooMany = errors.New("too many transactional ids")
)

// Writer writes the markers of an ending, and has the coordinator decide it with them.
type Writer interface {
	// End returns nil once the ending is decided and in the journal, with its markers, one for each
	// partition of open; or was so before. The coordinator's refusal comes as it is.
	End(ctx context.Context, ending coordinator.Ending, open []segments.Partition) error
}

// Options is what a Manager needs. Zero values mean their defaults.
type Options struct {
	Node       *coordinator.Node
	Writer     Writer
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	MaxTimeout time.Duration // Kafka's transaction.max.timeout.ms; 15 min
	Retention  time.Duration // Kafka's transactional.id.expiration.ms: of ids that nobody uses; 7 days
	Interval   time.Duration // how often this node looks for transactions whose time is over; 1 s
	MaxIDs     int           // of the cluster; 100,000
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	o.MaxTimeout = cmp.Or(o.MaxTimeout, 15*time.Minute)
	o.Retention = cmp.Or(o.Retention, 7*24*time.Hour)
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.MaxIDs = cmp.Or(o.MaxIDs, 100_000)
	return o
}

func (o Options) validate() error {
	switch {
	case o.Node == nil:
		return errors.New("transactions: Node is missing")
	case o.Writer == nil:
		return errors.New("transactions: Writer is missing")
	case min(o.MaxTimeout, o.Retention, o.Interval) <= 0 || o.MaxIDs <= 0:
		return fmt.Errorf("transactions: a limit is not positive: timeout %s, retention %s, interval %s, ids %d",
			o.MaxTimeout, o.Retention, o.Interval, o.MaxIDs)
	}
	return nil
}

// Manager is what the front doors call.
type Manager struct {
	opts    Options
	view    *coordinator.View
	metrics *metrics
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	expiry  expiry
}

// New starts to look after timeouts.
func New(opts Options) (*Manager, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m := &Manager{opts: opts, view: opts.Node.View()}
	var err error
	if m.metrics, err = newMetrics(opts.Registerer, m.view); err != nil {
		return nil, err
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.tasks.Go(m.expire)
	return m, nil
}

// Options are those that the manager was made with, and defaults.
func (m *Manager) Options() Options { return m.opts }

// Close ends what New has started, and waits for it no longer than ctx.
func (m *Manager) Close(ctx context.Context) error {
	m.cancel()
	ended := make(chan struct{})
	go func() {
		m.tasks.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing transactions: %w", ctx.Err())
	}
}

// keyPrefix begins what the rendezvous hash of a transactional id is of: Kafka's type of such keys.
const keyPrefix = 1

// mine says whether this node looks after an id, by what it has heard of others.
func (m *Manager) mine(id string) bool {
	node, ok := coordinator.Rendezvous(m.opts.Node.Nodes(), append([]byte{keyPrefix}, id...))
	return ok && node.ID == m.opts.Node.Info().ID
}

// again is between tries of what cannot be decided yet.
var again = retry.Backoff{First: 2 * time.Millisecond, Most: 100 * time.Millisecond}

// decided asks what is decided of an id, in the present life.
func (m *Manager) decided(
	ctx context.Context,
	id string,
) (now coordinator.DecidedID, in coordinator.Incarnation, err error) {
	for n := 0; ; n++ {
		life, err := m.opts.Node.Life(ctx)
		if err != nil {
			return now, 0, err
		}
		now, err = life.TransactionalID(ctx, id)
		if err == nil || !passes(err) {
			return now, life.Incarnation(), err
		}
		if err := again.Pause(ctx, n); err != nil {
			return now, 0, err
		}
	}
}

// passes says whether an error may be gone the next time: the coordinator is away, or the life is
// over.
func passes(err error) bool {
	switch coordinator.ClassOf(err) {
	case coordinator.ClassLater, coordinator.ClassNewLife:
		return true
	}
	return errors.Is(err, coordinator.ErrUnavailable)
}
