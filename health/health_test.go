package health_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/health"
)

var errGone = errors.New("connection refused")

// An outage begins when nothing but failures was told for a while, and ends with one success.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &health.Dependency{Name: "bucket put", Vital: true}
		minor := &health.Dependency{Name: "bucket delete"}
		n := health.Node{d, minor}
		minor.Did(errGone)
		d.Did(nil)
		d.Did(errGone)
		time.Sleep(health.Patience - time.Second)
		d.Did(fmt.Errorf("again: %w", errGone))
		d.Did(context.Canceled)
		if down := n.Down(); len(down) != 0 {
			t.Errorf("too early: %v", down)
		}
		time.Sleep(time.Second)
		down := n.Down()
		if len(down) != 1 || down[0].String() != "bucket put has failed for 5s: again: connection refused" {
			t.Errorf("down are %v", down)
		}
		if minor.Outage() == nil {
			t.Error("the minor one has no outage")
		}
		d.Did(nil)
		if down := n.Down(); len(down) != 0 {
			t.Errorf("after a success: %v", down)
		}
		d.Did(errGone)
		time.Sleep(health.Patience / 2)
		d.Did(nil)
		d.Did(errGone)
		time.Sleep(health.Patience / 2)
		if down := n.Down(); len(down) != 0 {
			t.Errorf("a success between failures does not count: %v", down)
		}
	})
}

// What is down is probed, and said to be down and back, once each.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back, probes := time.Now().Add(time.Minute), 0
		d := &health.Dependency{Name: "bucket put", Vital: true}
		d.Probe = func(context.Context) (err error) {
			probes++
			if time.Now().Before(back) {
				err = errGone
			}
			d.Did(err)
			return err
		}
		var log bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			health.Node{d}.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		d.Did(errGone)
		time.Sleep(2 * time.Minute)
		stop()
		<-done
		if strings.Count(log.String(), "is down") != 1 || strings.Count(log.String(), "works again") != 1 {
			t.Errorf("the log is:\n%s", &log)
		}
		if probes == 0 || probes > 60 {
			t.Errorf("%d probes in a minute", probes)
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, r := &health.Dependency{Name: "coordinator"}, prometheus.NewRegistry()
		if err := (health.Node{d}).Register(r); err != nil {
			t.Fatal(err)
		}
		d.Did(errGone)
		time.Sleep(3 * time.Second)
		found, err := r.Gather()
		if err != nil || len(found) != 1 || found[0].GetName() != "firn_dependency_failing_seconds" {
			t.Fatalf("gathered %v, error %v", found, err)
		}
		if m := found[0].Metric[0]; m.GetGauge().GetValue() != 3 || m.Label[0].GetValue() != "coordinator" {
			t.Errorf("gathered %v", m)
		}
	})
}
