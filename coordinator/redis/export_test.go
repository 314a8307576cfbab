package redis

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// RetryInLibrary makes go-redis retry scripts by itself, as it does by default, to see what that would do.
func (c *Coordinator) RetryInLibrary() error {
	if err := c.client.Close(); err != nil {
		return err
	}
	c.client = redis.NewClient(&redis.Options{Addr: c.opts.Addrs[0], Protocol: 2})
	c.process = func(ctx context.Context, cmd *redis.Cmd) error { return c.client.Process(ctx, cmd) }
	return nil
}
