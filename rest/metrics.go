package rest

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes are answered at once: each walks all topics.
const maxScrapes = 4

// metrics answers /metrics. A collector that fails leaves out its own metrics and is logged.
func (s *Server) metrics() http.Handler {
	scrape := promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelError),
		ErrorHandling: promhttp.ContinueOnError,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.scrapes <- struct{}{}:
			defer func() { <-s.scrapes }()
			scrape.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			fail(w, problem{Status: http.StatusServiceUnavailable, Detail: "enough scrapes are being answered already"})
		}
	})
}
