package transactions

import (
	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
)

// metrics of transactions. Those of the cluster are told by every node alike.
type metrics struct {
	ended   *prometheus.CounterVec
	expired prometheus.Counter
}

func newMetrics(r prometheus.Registerer, view *coordinator.View) *metrics {
	m := &metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "firn_transactions_ended_total",
			Help: "Transactions that this node has ended, by result: commit or abort."}, []string{"result"}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_transactions_expired_total",
			Help: "Transactions that this node has aborted because their timeout was over."}),
	}
	ids := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "firn_transactional_ids",
		Help: "Transactional ids of the cluster."}, func() float64 { return float64(view.TransactionalIDCount()) })
	r.MustRegister(m.ended, m.expired, ids)
	return m
}
