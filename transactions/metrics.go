package transactions

import (
	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
)

// metrics of transactions. Every node tells alike how many ids there are, and of the rest its part.
type metrics struct {
	ended   *prometheus.CounterVec
	expired prometheus.Counter
	ongoing prometheus.Gauge
	oldest  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, view *coordinator.View) (*metrics, error) {
	m := &metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_transactions_ended_total",
			Help: "Transactions that this node has ended, by result: commit or abort.",
		}, []string{"result"}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firn_transactions_expired_total",
			Help: "Transactions that this node has aborted because their timeout was over.",
		}),
		ongoing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firn_transactions_ongoing",
			Help: "Transactions that this node looks after and that have not ended.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firn_transaction_oldest_seconds",
			Help: "Age of the oldest transaction that this node looks after and that has not ended. " +
				"Readers of committed records wait for it.",
		}),
	}
	ids := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "firn_transactional_ids",
		Help: "Transactional ids of the cluster."}, func() float64 { return float64(view.TransactionalIDCount()) })
	for _, c := range []prometheus.Collector{m.ended, m.expired, m.ongoing, m.oldest, ids} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
