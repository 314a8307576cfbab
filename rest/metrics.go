package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes are answered at once: each walks all topics.
const maxScrapes = 4

// metrics answers /metrics. A collector that fails leaves out its own metrics and is logged.
func (s *Server) metrics() http.Handler {
	scrape := promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{
		ErrorLog:      scrapeLog{s.opts.Logger},
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

// scrapeLog is told what goes wrong with a scrape. That the scraper went away is no error of this
// node.
type scrapeLog struct{ logger *slog.Logger }

// Println writes what is wrong.
func (l scrapeLog) Println(args ...any) {
	level := slog.LevelError
	for _, arg := range args {
		if err, is := arg.(error); is && scraperLeft(err) {
			level = slog.LevelDebug
		}
	}
	l.logger.Log(context.Background(), level, "metrics: "+strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
}

func scraperLeft(err error) bool {
	for _, gone := range []error{syscall.EPIPE, syscall.ECONNRESET, net.ErrClosed, os.ErrDeadlineExceeded,
		context.Canceled, http.ErrHandlerTimeout} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}
