package s3

import (
	"context"
	"fmt"
	"os"
	"testing"

	"firn.dev/localstack"
	"firn.dev/segments"
	"firn.dev/segments/storetest"
)

// servers are what the tests of this package run against, by name. TestMain starts them.
var servers = map[string]localstack.S3{}

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	for name, value := range localstack.Environment() {
		os.Setenv(name, value)
	}
	dir, err := localstack.TempDir()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for name, start := range map[string]func(context.Context, localstack.Options) (localstack.S3, error){
		"MinIO": localstack.StartMinIO, "versitygw": localstack.StartVersity,
	} {
		server, err := start(context.Background(), localstack.Options{Dir: dir + "/" + name})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Kill()
		if err := server.CreateBucket(context.Background(), "firn"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		servers[name] = server
	}
	return m.Run()
}

// openAt opens a store at a new place of a server's bucket.
func openAt(t testing.TB, server localstack.S3, parameters string) *Store {
	t.Helper()
	return openURL(t, server.S3URL("firn", segments.NewTopicID().String())+parameters)
}

func openURL(t testing.TB, url string) *Store {
	t.Helper()
	o, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMinIO has two clients on one bucket, as two nodes have.
func TestMinIO(t *testing.T) {
	storetest.RunPair(t, func(t *testing.T) (a, b segments.Store) {
		url := servers["MinIO"].S3URL("firn", segments.NewTopicID().String())
		return openURL(t, url), openURL(t, url)
	})
}

// TestVersity runs the suite on a server that shares no code with MinIO.
func TestVersity(t *testing.T) {
	storetest.Run(t, func(t *testing.T) segments.Store { return openAt(t, servers["versitygw"], "") })
}

// TestDirectoryBucket runs the suite the way directory buckets of S3 Express are listed. No server
// here is one: what is tested is that their weaker listing is enough.
func TestDirectoryBucket(t *testing.T) {
	storetest.Run(t, func(t *testing.T) segments.Store { return openAt(t, servers["MinIO"], "&directory-bucket=true") })
}
