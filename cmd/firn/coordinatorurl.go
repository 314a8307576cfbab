package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"

	"firn.dev/coordinator/redis"
)

// inProcess is the --coordinator that is this process.
const inProcess = "embedded"

// coordinatorURL is who decides offsets: what a coordinator URL says. Without redis it is this
// process.
type coordinatorURL struct{ redis *redis.Options }

// parseCoordinator reads embedded, redis://… or rediss://…. Its errors do not repeat the password.
func parseCoordinator(text string) (coordinatorURL, error) {
	scheme, _, isURL := strings.Cut(text, "://")
	switch {
	case text == inProcess:
		return coordinatorURL{}, nil
	case isURL && (scheme == "redis" || scheme == "rediss"):
		o, err := redis.ParseURL(text)
		return coordinatorURL{&o}, err
	case isURL:
		return coordinatorURL{}, fmt.Errorf("unknown scheme %q; give embedded, redis://HOST:PORT or rediss://HOST:PORT",
			scheme)
	}
	return coordinatorURL{}, errors.New("give embedded, redis://HOST:PORT or rediss://HOST:PORT")
}

// String says who coordinates, without secrets.
func (p coordinatorURL) String() string {
	if p.redis == nil {
		return inProcess
	}
	u := url.URL{Scheme: "redis", Host: strings.Join(p.redis.Addrs, ",")}
	if p.redis.TLS != nil {
		u.Scheme = "rediss"
	}
	return u.String()
}

// open connects to the coordinator, which refuses segments that are older than the deadline. What
// it returns has to be closed.
func (p coordinatorURL) open(ctx context.Context,
	deadline time.Duration) (coordinator.Coordinator, func() error, error) {
	if p.redis == nil {
		return embedded.New(embedded.Options{CommitDeadline: deadline}), func() error { return nil }, nil
	}
	o := *p.redis
	o.CommitDeadline = deadline
	c, err := redis.New(ctx, o)
	if err != nil {
		return nil, nil, fmt.Errorf("--coordinator %s: %w", p, err)
	}
	return c, c.Close, nil
}
