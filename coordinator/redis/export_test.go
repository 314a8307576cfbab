package redis

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"firn.dev/coordinator"
)

// RetryInLibrary makes go-redis retry scripts by itself, as it does by default, to see
// what that would do.
func (c *Coordinator) RetryInLibrary() error {
	if err := c.client.Close(); err != nil {
		return err
	}
	c.client = redis.NewClient(&redis.Options{Addr: c.opts.Addrs[0], Protocol: 2})
	c.process = func(ctx context.Context, cmd *redis.Cmd) error { return c.client.Process(ctx, cmd) }
	return nil
}

// ForgetProducers makes room now, and says how many producers were forgotten.
func (c *Coordinator) ForgetProducers(ctx context.Context, in coordinator.Incarnation) (int64, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return 0, err
	}
	return c.forget(ctx, g)
}

// Keys returns all keys of this prefix.
func (c *Coordinator) Keys(ctx context.Context) ([]string, error) {
	return c.client.Keys(ctx, c.shard.tag[:1]+"*").Result()
}

// OnPart makes do called before each part of a state that is loaded.
func (c *Coordinator) OnPart(do func(part int)) {
	part := 0
	c.process = func(ctx context.Context, cmd *redis.Cmd) error {
		if cmd.Args()[1] == loadScript.hash {
			do(part)
			part++
		}
		return c.processOnce(ctx, cmd)
	}
}

// ScriptHash is how requests name a script.
func ScriptHash(name string) string { return newScript(name).hash }

// LoadScripts makes Redis know all scripts, so that each is called by its hash.
func (c *Coordinator) LoadScripts(ctx context.Context) error {
	files, err := sources.ReadDir("lua")
	if err == nil {
		err = c.client.ScriptLoad(ctx, deleteScript.source).Err()
	}
	for _, file := range files {
		if name, _, _ := strings.Cut(file.Name(), "."); err == nil && name != "prelude" {
			err = c.client.ScriptLoad(ctx, newScript(name).source).Err()
		}
	}
	return err
}

// CloseIdle closes the connections that wait for a call, so that the next call makes one.
func CloseIdle(c *Coordinator) {
	_ = c.client.Close()
	c.client = c.opts.connect(1, c.dial)
}

// Current is the key that names what is open.
func (c *Coordinator) Current() string { return c.shard.current() }
