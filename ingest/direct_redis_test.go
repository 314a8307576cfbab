package ingest_test

import (
	"fmt"
	"testing"

	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/ingest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

func connectRedis(t testing.TB, addr string) *redis.Coordinator {
	t.Helper()
	c, err := redis.New(t.Context(), redis.Options{Addrs: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// On Redis, which is restarted now and then with nothing in it: several functions write the same
// keys, and each key is written once. Nobody but they is there to recover.
func TestDirectOnRedis(t *testing.T) {
	server := redistest.Start(t)
	store := memory.New()
	topic := newTopic(t, store, connectRedis(t, server.Addr), "a", 1, nil)
	functions := []*ingest.Direct{openDirect(t, store, connectRedis(t, server.Addr)),
		openDirect(t, store, connectRedis(t, server.Addr))}
	first := map[string]ingest.Written{}
	for round := range 3 {
		for i := range 10 {
			key := fmt.Sprint("key ", i+5*round)
			for _, d := range functions {
				written, err := d.Write(t.Context(), "a", values(key), ingest.IdempotencyKey(key))
				if err != nil {
					t.Fatal(err)
				}
				if before, known := first[key]; known && before != written[0] {
					t.Errorf("%s is at %+v, was at %+v", key, written[0], before)
				}
				first[key] = written[0]
			}
		}
		server.Kill()
		server.Restart()
	}
	found := readAll(t, store, segments.Partition{Topic: topic})
	for key, at := range first {
		if offsets := found[key]; len(offsets) != 1 || offsets[0] != at.Offset {
			t.Errorf("%s was acknowledged at %d, and is at %v", key, at.Offset, offsets)
		}
	}
}
