package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"firn.dev/coordinator"
)

// readyWait is how long /readyz waits for a life that is about to begin.
const readyWait = 200 * time.Millisecond

// healthAnswer is the answer of /healthz and /readyz when all is well.
type healthAnswer struct {
	Status string `json:"status"`
}

// healthz says that the process is alive. It asks nobody: a node that cannot reach its bucket
// should not be killed for it.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "application/json", healthAnswer{"alive"})
}

// readyz says whether work may be sent here.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if reasons := s.notReady(r.Context()); len(reasons) > 0 {
		w.Header().Set("Retry-After", "1")
		fail(w, problem{Status: http.StatusServiceUnavailable, Detail: "this node takes no work now", Reasons: reasons})
		return
	}
	answer(w, http.StatusOK, "application/json", healthAnswer{"ready"})
}

// notReady lists why this node should get no work.
func (s *Server) notReady(ctx context.Context) (reasons []string) {
	if s.draining.Load() {
		reasons = append(reasons, "draining: this node is stopping")
	}
	if err := s.opts.Node.Err(); err != nil {
		return append(reasons, err.Error())
	}
	for _, outage := range s.opts.Health.Down() {
		reasons = append(reasons, outage.String())
	}
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	switch _, err := s.opts.Node.Life(ctx); {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		reasons = append(reasons, "joining: this node has no life in the cluster yet")
	case errors.Is(err, coordinator.ErrFenced):
		reasons = append(reasons, coordinator.ErrFenced.Error())
	case err != nil:
		reasons = append(reasons, err.Error())
	}
	return reasons
}
