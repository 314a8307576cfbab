package groups_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// TestLagIsToldByTheOwner wants each group's lag once in the cluster, from the node that owns it.
func TestLagIsToldByTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		registries := []*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry()}
		a := start(t, store, c, 1, groups.Options{Registerer: registries[0]})
		defer a.stop(t)
		b := start(t, store, c, 2, groups.Options{Registerer: registries[1]})
		defer b.stop(t)
		at := segments.Partition{Topic: createTopic(t, a.node), Index: 1}
		fill(t, a.node, at, 10)
		synctest.Wait()
		for _, o := range []*owner{a, b} { // one of them owns it
			o.commit(t, "readers", outsider, at, 4)
		}
		synctest.Wait()
		told := 0
		for _, r := range registries {
			families, err := r.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() != "firn_group_lag" {
					continue
				}
				for _, m := range f.GetMetric() {
					told++
					if m.GetGauge().GetValue() != 6 || m.GetLabel()[0].GetValue() != "readers" || m.GetLabel()[1].GetValue() != "log" {
						t.Errorf("%v", m)
					}
				}
			}
		}
		if told != 1 {
			t.Errorf("the lag is told %d times", told)
		}
	})
}

// TestLagOfGroupsThatNobodyAsksFor: a group whose consumers are all gone is the one whose lag has
// to be seen, also by a node that has never been asked for it.
func TestLagOfGroupsThatNobodyAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := memory.New(), embedded.New(embedded.Options{})
		a := start(t, store, c, 1, groups.Options{})
		at := segments.Partition{Topic: createTopic(t, a.node), Index: 1}
		if err := a.commit(t, "readers", outsider, at, 0); err != nil {
			t.Fatal(err)
		}
		a.stop(t)
		registry := prometheus.NewRegistry()
		b := start(t, store, c, 2, groups.Options{Registerer: registry})
		defer b.stop(t)
		time.Sleep(6 * time.Second) // until it knows who is there
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool {
			return f.GetName() == "firn_group_lag" &&
				len(f.GetMetric()) == 1
		}) {
			t.Error("the lag is not told")
		}
	})
}
