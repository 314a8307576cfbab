package main

import (
	"context"

	"firn.dev/health"
	"firn.dev/segments"
)

// dependencies are what a node depends on, and how its calls ended.
type dependencies struct {
	coordinator *health.Dependency
	decisions   *health.Dependency            // the coordinator's: a full Redis answers, and decides nothing
	bucket      map[string]*health.Dependency // by operation
}

func newDependencies() *dependencies {
	return &dependencies{
		coordinator: &health.Dependency{Name: "coordinator", Vital: true},
		decisions:   &health.Dependency{Name: "coordinator decisions"},
		bucket: map[string]*health.Dependency{
			"put":    {Name: "bucket put", Vital: true},
			"get":    {Name: "bucket get", Vital: true},
			"list":   {Name: "bucket list"},
			"delete": {Name: "bucket delete"},
		},
	}
}

func (d *dependencies) all() health.Node {
	return health.Node{d.coordinator, d.decisions, d.bucket["put"], d.bucket["get"], d.bucket["list"], d.bucket["delete"]}
}

func (d *dependencies) bucketDid(operation string, err error) {
	if of := d.bucket[operation]; of != nil {
		of.Did(err)
	}
}

// probeBucket has the bucket tried while it fails: through store, which tells of its requests.
func (d *dependencies) probeBucket(store segments.Store) {
	d.bucket["put"].Probe = func(ctx context.Context) error { return segments.Prove(ctx, store) }
	d.bucket["get"].Probe = func(ctx context.Context) error {
		_, err := store.Get(ctx, "probes/none", 0, 1)
		return err
	}
}

// deciding are the calls that make Redis keep more than before.
var deciding = map[string]bool{"commit": true, "propose": true, "offsets": true}

func (d *dependencies) coordinatorDid(call string, err error) {
	d.coordinator.Did(err)
	if deciding[call] {
		d.decisions.Did(err)
	}
}
