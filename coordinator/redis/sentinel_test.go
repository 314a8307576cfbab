package redis_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
)

// The URL may name sentinels. After they have failed over, the same coordinator talks to the new
// master, which is not trusted until it is opened.
func TestSentinel(t *testing.T) {
	master, replica := redistest.Start(t), redistest.Start(t)
	follow(replica, master)
	sentinel := redistest.Sentinel(t, "firn-test", master)
	sentinel.Eventually("slaves=1", "INFO", "sentinel")
	o, err := redis.ParseURL(fmt.Sprintf("redis://?sentinel=%s&master=firn-test", sentinel.Addr))
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, o)
	in, at := open(t, c)
	if _, err := c.Commit(t.Context(), in, request(at)); err != nil {
		t.Fatal(err)
	}
	replica.Eventually("*1", "KEYS", "*:current") // it has what it is asked about below
	sentinel.Eventually("+OK", "SENTINEL", "FAILOVER", "firn-test")
	replica.Eventually("role:master", "INFO", "replication")
	late := time.After(30 * time.Second)
	for {
		if _, err = c.Settled(t.Context(), in); errors.Is(err, coordinator.ErrNotOpen) {
			break
		}
		select {
		case <-late:
			t.Fatalf("the failover is not noticed: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := c.Open(t.Context(), coordinator.NewState(in+1, "other")); !errors.Is(err, coordinator.ErrOtherCluster) {
		t.Errorf("opening with another bucket's state: %v", err)
	}
}
