package rest_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"firn.dev/access"
	"firn.dev/access/quota"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/rest"
)

// limitedFirn is a node on which everybody is anonymous and may use so much.
func limitedFirn(t *testing.T, limits ...quota.Limit) *firn {
	t.Helper()
	f := startFirn(t, 1, func(o *rest.Options) {
		o.Quotas = security.NewQuotas(o.Node.View(), o.Logger)
	})[0]
	changes, err := f.opts.Quotas.Set(limits)
	if err == nil {
		_, err = f.node.Change(t.Context(), coordinator.Change{Settings: changes})
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func anonymous(of access.Quota, value float64) quota.Limit {
	return quota.Limit{Entity: quota.Entity{User: quota.Named("ANONYMOUS")}, Of: of, Value: value}
}

// sendLimited makes a request and returns its status, how long it is told to wait, and its body.
func (f *firn) sendLimited(t *testing.T, method, path, body string) (status, retryAfter int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	retryAfter, _ = strconv.Atoi(resp.Header.Get("Retry-After"))
	return resp.StatusCode, retryAfter, string(answer)
}

// A client that has used up a quota gets 429, is told when to come again and which quota it was.
func TestOverQuota(t *testing.T) {
	record := fmt.Sprintf(`{"value":%q}`, strings.Repeat("x", 100_000))
	for name, c := range map[string]struct {
		limit                access.Quota
		method, path, body   string
		wantBefore, leastTry int
	}{
		"producing": {access.ProducedBytes, http.MethodPost, "/v1/topics/log/records", record, http.StatusOK, 10},
		"reading": {access.FetchedBytes, http.MethodGet, "/v1/topics/log/partitions/0/records?offset=0", "",
			http.StatusOK, 10},
		"reading what a filter leaves out": {access.FetchedBytes, http.MethodGet,
			"/v1/topics/log/partitions/0/records?offset=0&key=none", "", http.StatusOK, 10},
		"creating": {access.Mutations, http.MethodPost, "/v1/topics", `{"name":"new","partitions":100}`,
			http.StatusCreated, 10},
		"asking": {access.Requests, http.MethodGet, "/v1/topics", "", http.StatusOK, 1},
	} {
		t.Run(name, func(t *testing.T) {
			most := 1000.0
			if c.limit == access.Requests {
				most = 1e-6
			} else if c.limit == access.Mutations {
				most = 1
			}
			f := limitedFirn(t, anonymous(c.limit, most))
			value := make([]byte, 60_000)
			_, _ = rand.Read(value) // which never fails, and what cannot be compressed is read as it is
			f.writeValues(t, f.makeTopic(t, "log", 1), 0, fmt.Sprintf("%x", value))
			if status, _, text := f.sendLimited(t, c.method, c.path, c.body); status != c.wantBefore {
				t.Fatalf("within the quota: %d %s", status, text)
			}
			status, retry, text := f.sendLimited(t, c.method, c.path, c.body)
			if status != http.StatusTooManyRequests || retry < c.leastTry || !strings.Contains(text, c.limit.String()) ||
				!strings.Contains(text, "THROTTLING_QUOTA_EXCEEDED") {
				t.Errorf("beyond the quota: %d, Retry-After %d, %s", status, retry, text)
			}
			if status, _, text := f.sendLimited(t, http.MethodGet, "/healthz", ""); status != http.StatusOK {
				t.Errorf("a probe gets %d %s", status, text)
			}
		})
	}
}

// A tail that is over its quota goes on when it is not any more.
func TestTailIsSlowed(t *testing.T) {
	f := limitedFirn(t, anonymous(access.FetchedBytes, 20_000))
	topic := f.makeTopic(t, "log", 1)
	const rounds = 3
	value := strings.Repeat("abc", 10_000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/v1/topics/log/tail?from=earliest", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began := time.Now()
	for range rounds {
		f.writeValues(t, topic, 0, value)
		if _, err := io.ReadFull(resp.Body, make([]byte, len(value))); err != nil {
			t.Fatal(err)
		}
	}
	least := time.Duration(float64((rounds-1)*len(value)-20_000) / 20_000 * float64(time.Second))
	if took := time.Since(began); took < least {
		t.Errorf("%d events of %d bytes took %v, and the quota is 20 kB a second", rounds, len(value), took)
	}
}

// An address that makes too many connections is told so, and probes are answered.
func TestTooManyConnections(t *testing.T) {
	f := limitedFirn(t, quota.Limit{Entity: quota.Entity{IP: quota.Default}, Of: access.Connections, Value: 1})
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	status := func(path string) int {
		resp, err := client.Get(f.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	began, served := time.Now(), 0
	for status("/v1/topics") == http.StatusOK && time.Since(began) < time.Minute {
		if served++; served > 12+int(time.Since(began).Seconds()) {
			t.Fatalf("%d connections were served in %v; the quota is 1 a second, and 10 at once", served, time.Since(began))
		}
	}
	if served < 10 {
		t.Errorf("%d connections were served; at once there may be 10", served)
	}
	if got := status("/healthz"); got != http.StatusOK {
		t.Errorf("a probe gets %d", got)
	}
}
