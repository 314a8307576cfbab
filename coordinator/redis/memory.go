package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// nearlyFull is the part of its memory from which on a server is said to be full.
const nearlyFull = 0.9

// Full says whether a server has hardly any memory left, of which a Redis Cluster has several: when
// it has none, it decides nothing more. It returns an empty text if there is enough, or no limit.
func Full(ctx context.Context, c *Coordinator) (string, error) {
	var mu sync.Mutex
	var found string
	look := func(ctx context.Context, server redis.Cmdable) error {
		info, err := server.Info(ctx, "memory").Result()
		if err != nil {
			return explainInfo(err, c.opts.TLS != nil)
		}
		used, most := infoNumber(info, "used_memory"), infoNumber(info, "maxmemory")
		if most > 0 && float64(used) >= nearlyFull*float64(most) {
			mu.Lock()
			defer mu.Unlock()
			found = fmt.Sprintf("Redis uses %d of %d bytes of maxmemory", used, most)
		}
		return nil
	}
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error { return look(ctx, m) })
		return found, err
	}
	err := look(ctx, c.client)
	return found, err
}

// infoNumber is a number of an answer to INFO; 0 if it has none of that name.
func infoNumber(info, name string) int64 {
	for line := range strings.Lines(info) {
		if text, found := strings.CutPrefix(line, name+":"); found {
			n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return n
		}
	}
	return 0
}
