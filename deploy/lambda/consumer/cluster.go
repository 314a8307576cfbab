package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// cluster is Firn's nodes, any of which can be asked: it forwards what is about a group to the
// group's owner. It is used by one goroutine, as Lambda has one invocation at a time in a process.
type cluster struct {
	addrs  []string
	client http.Client
	first  int // of addrs: the one that answered last
}

func newCluster(addrs []string) *cluster {
	return &cluster{addrs: addrs, client: http.Client{Timeout: 30 * time.Second}}
}

// maxAnswer bounds an answer: what was asked for, as JSON.
const maxAnswer = 64 << 20

// conflict is an answer 409: which claims have ended.
type conflict struct {
	Detail, Code string
	Claims       []struct {
		Topic, Error string
		Partition    int32
	}
}

func (c *conflict) Error() string { return c.Detail }

// errAgain is about what may pass: a node that is gone, busy or not yet the owner of its groups.
var errAgain = errors.New("no node has answered in time")

// post asks one node after the other until one answers, and decodes that into answer. A *conflict
// is told at once, as is what is wrong with the request.
func (c *cluster) post(ctx context.Context, path string, request, answer any) error {
	return c.postOnce(ctx, path, "", request, answer)
}

// postOnce is post with an idempotency key, so that whatever is asked again is done once.
func (c *cluster) postOnce(ctx context.Context, path, key string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	for round := 0; ; round++ {
		for range c.addrs {
			err = c.ask(ctx, c.addrs[c.first]+path, key, body, answer)
			if !errors.Is(err, errAgain) || ctx.Err() != nil {
				return err
			}
			c.first = (c.first + 1) % len(c.addrs)
		}
		pause := time.NewTimer(min(100*time.Millisecond<<min(round, 10), 2*time.Second))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// ask makes one request.
func (c *cluster) ask(ctx context.Context, url, key string, body []byte, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	said := fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
	switch resp.StatusCode {
	case http.StatusOK:
		if answer == nil {
			return nil
		}
		return json.Unmarshal(text, answer)
	case http.StatusConflict:
		if resp.Header.Get("Retry-After") != "" { // an earlier try is under way
			return fmt.Errorf("%w: %w", errAgain, said)
		}
		var ended conflict
		if json.Unmarshal(text, &ended) == nil && (len(ended.Claims) > 0 || ended.Code == "FENCED_MEMBER_EPOCH") {
			return &ended
		}
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("%w: %w", errAgain, said)
	}
	return said
}
