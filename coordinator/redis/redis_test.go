package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/coordinatortest"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
)

const deadline = 5 * time.Minute

// prefixes tells the tests that share a server apart.
var prefixes atomic.Int64

func newPrefix() string { return fmt.Sprintf("test-%d", prefixes.Add(1)) }

func connect(t testing.TB, opts redis.Options) *redis.Coordinator {
	t.Helper()
	if opts.Prefix == "" {
		opts.Prefix = newPrefix()
	}
	c, err := redis.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func suite(t *testing.T, opts redis.Options) {
	opts.CommitDeadline = deadline
	open := func(t *testing.T) coordinatortest.Subject {
		return coordinatortest.Subject{Coordinator: connect(t, opts), Advance: time.Sleep, Deadline: deadline}
	}
	coordinatortest.Run(t, open)
	coordinatortest.RunOffsets(t, open)
	coordinatortest.RunKeys(t, open)
	coordinatortest.RunMerges(t, open)
	t.Run("Transactions", func(t *testing.T) { coordinatortest.RunTransactions(t, open) })
	t.Run("Atomic", func(t *testing.T) { coordinatortest.RunAtomic(t, open) })
}

func TestRedis(t *testing.T) {
	suite(t, redis.Options{Addrs: []string{redistest.Start(t).Addr}})
}

// The clock of Redis cannot be set.
func TestKeyExpiration(t *testing.T) {
	const expiration = time.Second
	c := connect(t, redis.Options{Addrs: []string{redistest.Start(t).Addr}, KeyExpiration: expiration})
	subject := coordinatortest.Subject{Coordinator: c, Advance: time.Sleep, Deadline: deadline}
	coordinatortest.RunKeyExpiration(t, subject, expiration)
}

func TestRedisCluster(t *testing.T) {
	var addrs []string
	for _, s := range redistest.Cluster(t, 3) {
		addrs = append(addrs, s.Addr)
	}
	suite(t, redis.Options{Addrs: addrs, Cluster: true})
}

// The clock of Redis cannot be set. One that is set back makes segments younger, and so does a
// caller who allows them to be older.
func TestForgotten(t *testing.T) {
	server := redistest.Start(t)
	coordinatortest.RunForgotten(t, func(t *testing.T) (coordinatortest.Subject, func() coordinator.Coordinator) {
		opts := redis.Options{Addrs: []string{server.Addr}, Prefix: newPrefix(), CommitDeadline: time.Second}
		s := coordinatortest.Subject{Coordinator: connect(t, opts), Advance: time.Sleep, Deadline: time.Second}
		opts.CommitDeadline = deadline
		return s, func() coordinator.Coordinator { return connect(t, opts) }
	})
}
