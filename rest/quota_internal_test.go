package rest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/access"
	"firn.dev/access/quota"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// TestWaitingForPeersIsFree: the time of a request counts, and that for which it waits for other
// nodes does not.
func TestWaitingForPeersIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := coordinator.NewState(1, "cluster")
		limit := quota.Limit{Entity: quota.Entity{User: quota.Default}, Of: access.Requests, Value: 1}
		settings := &coordinator.Settings{Version: 1, Time: 1, Changes: []coordinator.Setting{
			{Kind: coordinator.QuotaSetting, Key: limit.Key(), Value: "1"}}}
		if err := state.Apply(&coordinator.Fact{Incarnation: 1, Settings: settings}); err != nil {
			t.Fatal(err)
		}
		s := &Server{opts: Options{
			Quotas: security.NewQuotas(coordinator.NewView(state), slog.New(slog.DiscardHandler))}}
		asker := &access.Asker{Client: access.Client{Principal: access.Anonymous}}
		ctx := context.WithValue(t.Context(), askerKey{}, asker)
		for _, c := range []struct {
			peers, own time.Duration
			over       bool
		}{{peers: time.Hour}, {peers: time.Hour, own: time.Minute, over: true}} {
			limited := s.withinQuota(&route{method: http.MethodGet, rules: needs(access.Requests),
				handler: func(_ http.ResponseWriter, r *http.Request) error {
					awaitPeers(r.Context(), func() { time.Sleep(c.peers) })
					time.Sleep(c.own)
					return nil
				}})
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			if err := limited.handler(httptest.NewRecorder(), r); err != nil {
				t.Fatal(err)
			}
			wait := s.opts.Quotas.Wait(access.Requests, quota.Client{User: access.Anonymous.Name})
			if over := wait > 0; over != c.over {
				t.Errorf("%v of other nodes and %v of its own: it is over its quota: %v", c.peers, c.own, over)
			}
		}
	})
}
