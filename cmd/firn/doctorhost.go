package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Each client connection is an open file; so is each object that is being read or written.
const (
	tooFewFiles = 1024
	fewFiles    = 16384
)

func checkOpenFiles() verdict {
	n, err := openFileLimit()
	switch {
	case err != nil:
		return doubtful("", "the limit cannot be told: %v", err)
	case n < tooFewFiles:
		return bad("raise it with 'ulimit -n 65536', or LimitNOFILE in the unit", "%d at most", n)
	case n < fewFiles:
		return doubtful("each client connection needs one; raise it with 'ulimit -n 65536' before many clients come",
			"%d at most", n)
	}
	return fine("%d at most", n)
}

// checkClock finds clocks that were never set: segment ids and record timestamps come from it.
func checkClock() verdict {
	now := time.Now().UTC()
	if now.Year() < 2026 || now.Year() > 2100 {
		return bad("set it, by NTP", "it says %s", now.Format(time.RFC3339))
	}
	return fine("it says %s", now.Format(time.RFC3339))
}

// checkKafkaAddress says whether serve could listen there, and otherwise who does.
func checkKafkaAddress(ctx context.Context, l listenerFlag) verdict {
	return checkListen(ctx, l.flag, l.bind, func(ctx context.Context) (string, error) {
		opts := []kgo.Opt{kgo.SeedBrokers(l.bind), kgo.DialTimeout(2 * time.Second)}
		if l.secure() {
			opts = append(opts, kgo.DialTLSConfig(anyServer))
		}
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			return "", err
		}
		defer cl.Close()
		meta, err := kadm.NewClient(cl).BrokerMetadata(ctx)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("a Kafka server answers there: cluster %s with %d nodes", meta.Cluster, len(meta.Brokers)), nil
	})
}

// checkHTTPAddress is checkKafkaAddress for the HTTP side.
func checkHTTPAddress(ctx context.Context, https bool, addr string) verdict {
	return checkListen(ctx, "http-addr", addr, func(ctx context.Context) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, webURL(https, addr)+"/healthz", nil)
		if err != nil {
			return "", err
		}
		resp, err := strangerClient.Do(req)
		if err != nil {
			return "", err
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return "a healthy HTTP server answers there", nil
		}
		return fmt.Sprintf("an HTTP server answers there, to /healthz with %s", resp.Status), nil
	})
}

// checkListen tries to listen on addr; if somebody else does, ask finds out who.
func checkListen(ctx context.Context, flag, addr string, ask func(context.Context) (string, error)) verdict {
	l, err := listen(ctx, flag, addr)
	if err == nil {
		l.Close()
		return fine("%s is free", addr)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return bad("give another", "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	who, err := ask(ctx)
	if err != nil {
		return bad("stop it, or give another address with --"+flag,
			"%s is taken by something that does not answer as expected", addr)
	}
	return doubtful("if that is not your running node, give another address with --"+flag, "%s is taken; %s", addr, who)
}
