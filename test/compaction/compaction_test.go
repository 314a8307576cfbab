package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"firn.dev/test/process"
)

// The program, with less of everything.
func TestCompaction(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	firn, err := process.Build(ctx, dir, "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	err = Run(ctx, Options{Firn: firn, Dir: filepath.Join(dir, "bucket"), Updates: 30_000, Keys: 1000, Kills: 2,
		Deadline: time.Second, Retention: 5 * time.Second, Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
}
