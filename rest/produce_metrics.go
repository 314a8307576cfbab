package rest

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"firn.dev/budget"
)

// produceMetrics count what producers do.
type produceMetrics struct {
	requests *prometheus.CounterVec
	records  prometheus.Counter
}

func newProduceMetrics(r prometheus.Registerer, m *budget.Pool) *produceMetrics {
	factory := promauto.With(r)
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firn_http_request_memory_bytes",
		Help: "Memory that requests of HTTP producers hold; RequestMemoryBytes at most.",
	}, func() float64 { return float64(m.Used() + m.Own()) })
	return &produceMetrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "firn_http_produce_requests_total", Help: "Requests of HTTP producers, by the status that they were " +
				"answered with.",
		}, []string{"status"}),
		records: factory.NewCounter(prometheus.CounterOpts{Name: "firn_http_records_written_total",
			Help: "Records of HTTP producers that were written."}),
	}
}

// counted counts the answers of a handler, and has its problems told by tell.
func (s *Server) counted(h handler, tell func(http.ResponseWriter, problem)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		status := http.StatusOK
		if err := h(w, r); err != nil {
			p := s.refused(err)
			tell(w, p)
			status = p.Status
		}
		s.producers.metrics.requests.WithLabelValues(strconv.Itoa(status)).Inc()
		return nil
	}
}
