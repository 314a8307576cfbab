// Package processtest gives tests a firn of their own.
package processtest

import (
	"context"
	"testing"
	"time"

	"firn.dev/test/process"
)

// Firn builds and starts a server with further flags for the length of the test, on a directory of
// its own, and waits until it answers.
func Firn(t testing.TB, flags ...string) *process.Process {
	t.Helper()
	bin, err := process.Build(t.Context(), t.TempDir(), "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := process.NewSpec(append(process.Firn(bin), flags...), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return Start(t, spec)
}

// Start starts a server for the length of the test, and waits until it answers.
func Start(t testing.TB, spec process.Spec) *process.Process {
	t.Helper()
	server, err := process.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := server.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return server
}
