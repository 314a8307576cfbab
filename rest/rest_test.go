package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/health"
	"firn.dev/rest"
	"firn.dev/segments"
)

// fakeNode is a membership that says what it is told to.
type fakeNode struct {
	rest.Node // what no test asks it for
	joining   bool
	err       error // of Life
	over      error // of Err
}

func (n *fakeNode) Life(ctx context.Context) (*coordinator.Life, error) {
	if n.joining {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &coordinator.Life{}, n.err
}

func (n *fakeNode) Info() coordinator.NodeInfo {
	return coordinator.NodeInfo{HTTP: "advertised.example:8080"}
}

func (n *fakeNode) Err() error { return n.over }

// fakeView has topics t00, t01, … with the given numbers of partitions. Partition i of each has
// records i+1 to 10 and 100 bytes.
type fakeView []int32

func (v fakeView) Topic(name string) *coordinator.Topic {
	for _, t := range v.Topics() {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func (v fakeView) ClusterID() string { return "cluster" }

func (v fakeView) TopicCount() int { return len(v) }

func (v fakeView) Topics() (topics []*coordinator.Topic) {
	for i, n := range v {
		topics = append(topics, &coordinator.Topic{ID: segments.TopicID{byte(i)}, Name: fmt.Sprintf("t%02d", i),
			Partitions: n})
	}
	return topics
}

func (v fakeView) Partition(at segments.Partition) (coordinator.PartitionInfo, bool) {
	return coordinator.PartitionInfo{LogStart: int64(at.Index) + 1, HighWatermark: 11, Bytes: 100}, true
}

// server returns a server over fakes.
func server(t *testing.T, change func(*rest.Options)) (*rest.Server, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	o := rest.Options{Node: &fakeNode{}, View: fakeView{1, 2, 3}, Gatherer: registry, Registerer: registry,
		Quotas: &security.Quotas{}} // which limits nobody
	if change != nil {
		change(&o)
	}
	s, err := rest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, registry
}

// ask sends a request to s and returns the answer. A JSON body is decoded into v, unless v is nil.
func ask(t *testing.T, s http.Handler, method, url string, v any) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	resp := w.Result()
	if v != nil {
		if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
			t.Fatal(err)
		}
	}
	return resp
}

func TestHealth(t *testing.T) {
	over := errors.New("taken over by another process")
	for _, c := range []struct {
		name   string
		node   fakeNode
		drain  bool
		status int
		reason string
	}{
		{"ready", fakeNode{}, false, 200, ""},
		{"joining", fakeNode{joining: true}, false, 503, "joining"},
		{"fenced", fakeNode{err: fmt.Errorf("life x: %w", coordinator.ErrFenced)}, false, 503, "fenced"},
		{"over", fakeNode{over: over}, false, 503, over.Error()},
		{"draining", fakeNode{}, true, 503, "draining"},
		{"no store", fakeNode{err: errors.New("no route to host")}, false, 503, "no route to host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := server(t, func(o *rest.Options) { o.Node = &c.node })
				if c.drain {
					s.Drain()
				}
				var p problem
				resp := ask(t, s, "GET", "/readyz", nil)
				if resp.StatusCode != 200 {
					if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
						t.Fatal(err)
					}
				}
				if resp.StatusCode != c.status || !strings.Contains(strings.Join(p.Reasons, "; "), c.reason) {
					t.Errorf("%d, %q", resp.StatusCode, p.Reasons)
				}
				if c.status != 200 &&
					(resp.Header.Get("Content-Type") != "application/problem+json" || p.Status != c.status || p.Title == "") {
					t.Errorf("not a problem document: %+v", p)
				}
				if resp := ask(t, s, "GET", "/healthz", nil); resp.StatusCode != 200 {
					t.Errorf("healthz: %d", resp.StatusCode)
				}
			})
		})
	}
}

// A node whose coordinator does not answer takes no work, and says since when and why. What it can
// do without does not keep it from work.
func TestReadyTellsOfOutages(t *testing.T) {
	redis, deletes := &health.Dependency{Name: "coordinator", Vital: true}, &health.Dependency{Name: "bucket delete"}
	serving(t, func(o *rest.Options) { o.Health = health.Node{redis, deletes} }, func(t *testing.T, p *pipes,
		_ func() error) {
		deletes.Did(errors.New("access denied"))
		redis.Did(errors.New("connection refused"))
		time.Sleep(2 * health.Patience)
		var told problem
		resp := request(t, p, "GET", "/readyz", "")
		if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || resp.StatusCode != 503 ||
			fmt.Sprint(told.Reasons) != "[coordinator has failed for 10s: connection refused]" {
			t.Errorf("%s, %v, %v", resp.Status, told.Reasons, err)
		}
		redis.Did(nil)
		if resp := request(t, p, "GET", "/readyz", ""); resp.StatusCode != 200 {
			t.Errorf("when it works again: %s", resp.Status)
		}
	})
}

func TestProblems(t *testing.T) {
	s, _ := server(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/nowhere", 404}, {"POST", "/nowhere", 404}, {"DELETE", "/v1/nowhere", 404}, {"POST", "/healthz", 405},
		{"DELETE", "/", 405},
		{"PUT", "/metrics", 405}, {"GET", "/debug/pprof/", 404},
	} {
		var p problem
		resp := ask(t, s, c.method, c.path, &p)
		if resp.StatusCode != c.status || p.Status != c.status || p.Detail == "" ||
			resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d, %+v", c.method, c.path, resp.StatusCode, p)
		}
		if allow := resp.Header.Get("Allow"); (c.status == 405) != (allow == "GET, HEAD, OPTIONS") {
			t.Errorf("%s %s: Allow %q", c.method, c.path, allow)
		}
	}
}

func TestHome(t *testing.T) {
	s, _ := server(t, nil)
	var h home
	if resp := ask(t, s, "GET", "/", &h); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	if h.ClusterID != "cluster" || h.Total != 3 || len(h.Topics) != 3 || h.Topics[2].Records != 10+9+8 ||
		h.Topics[2].Bytes != 300 {
		t.Errorf("%+v", h)
	}
	for listed := range h.Paths {
		path := strings.Replace(listed[strings.Index(listed, "/"):], "{file}", "app.js", 1)
		if resp := ask(t, s, "GET", path, nil); resp.StatusCode == 404 {
			t.Errorf("%s is listed and not there", path)
		}
	}
	const maxListed = 1000
	many := make(fakeView, maxListed+5)
	s, _ = server(t, func(o *rest.Options) { o.View = many })
	ask(t, s, "GET", "/", &h)
	if h.Total != maxListed+5 || len(h.Topics) != maxListed {
		t.Errorf("%d of %d topics listed", len(h.Topics), h.Total)
	}
}

// TestPartitionGauges: topics beyond the bounds are added up, and a small topic behind one that is
// too large still has labels.
func TestPartitionGauges(t *testing.T) {
	s, _ := server(t, func(o *rest.Options) {
		o.View, o.MaxTopics, o.MaxPartitions = fakeView{2, 3, 1, 1}, 2, 3
	})
	body, err := io.ReadAll(ask(t, s, "GET", "/metrics", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "firn_") && !strings.HasPrefix(line, "firn_http_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		`firn_partition_bytes{partition="",topic="(others)"} 400`,
		`firn_partition_bytes{partition="0",topic="t00"} 100`,
		`firn_partition_bytes{partition="0",topic="t02"} 100`,
		`firn_partition_bytes{partition="1",topic="t00"} 100`,
		`firn_partition_high_watermark{partition="",topic="(others)"} 44`,
		`firn_partition_high_watermark{partition="0",topic="t00"} 11`,
		`firn_partition_high_watermark{partition="0",topic="t02"} 11`,
		`firn_partition_high_watermark{partition="1",topic="t00"} 11`,
		`firn_partition_log_start_offset{partition="",topic="(others)"} 7`,
		`firn_partition_log_start_offset{partition="0",topic="t00"} 1`,
		`firn_partition_log_start_offset{partition="0",topic="t02"} 1`,
		`firn_partition_log_start_offset{partition="1",topic="t00"} 2`,
		`firn_partitions 7`,
		`firn_topics 4`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestScrapesAreBounded: more scrapes at once than there are places get an answer at once, and it
// is no.
func TestScrapesAreBounded(t *testing.T) {
	const most = 4
	begun, release := make(chan struct{}), make(chan struct{})
	s, _ := server(t, func(o *rest.Options) {
		o.Gatherer = prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			begun <- struct{}{}
			<-release
			return nil, nil
		})
	})
	var scrapes sync.WaitGroup
	for range most {
		scrapes.Go(func() {
			if resp := ask(t, s, "GET", "/metrics", nil); resp.StatusCode != 200 {
				t.Errorf("one of %d: %s", most, resp.Status)
			}
		})
		<-begun
	}
	defer scrapes.Wait()
	defer close(release)
	if resp := ask(t, s, "GET", "/metrics", nil); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Error(resp.Status)
	}
}

// A name that a page has bent to a loopback address is refused; this machine's own names, and the
// advertised one, are not.
func TestHostsOnLoopback(t *testing.T) {
	s, _ := server(t, nil)
	for _, c := range []struct {
		local, host string
		status      int
	}{
		{"127.0.0.1:80", "127.0.0.1:80", 200}, {"127.0.0.1:80", "localhost", 200}, {"[::1]:80", "[::1]:80", 200},
		{"127.0.0.1:80", "firn.localhost:80", 200}, {"127.0.0.1:80", "evil.example", 421},
		{"[::1]:80", "evil.example:80", 421},
		{"127.0.0.1:80", "localhost.evil.example", 421}, {"127.0.0.1:80", "10.0.0.7", 421}, {"127.0.0.1:80", "", 421},
		{"10.0.0.7:80", "firn.example", 200}, {"127.0.0.1:80", "advertised.example", 200},
	} {
		local, err := net.ResolveTCPAddr("tcp", c.local)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(local))
		r := httptest.NewRequestWithContext(ctx, "GET", "/healthz", nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("at %s, for host %q: %d, want %d", c.local, c.host, w.Code, c.status)
		}
	}
}

func TestProfilesOnLoopbackOnly(t *testing.T) {
	s, _ := server(t, func(o *rest.Options) { o.Profiles = true })
	for _, c := range []struct {
		name, remote, local, host, forwarded string
		status                               int
	}{
		{"loopback", "127.0.0.1:1234", "127.0.0.1:80", "localhost:80", "", 200},
		{"loopback by IPv6", "[::1]:1234", "[::1]:80", "[::1]", "", 200},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:1234", "127.0.0.1:80", "127.0.0.1", "", 200},
		{"from elsewhere", "10.0.0.7:1234", "127.0.0.1:80", "localhost", "", 403},
		{"to elsewhere", "127.0.0.1:1234", "10.0.0.7:80", "localhost", "", 403},
		{"a name that was bent", "127.0.0.1:1234", "127.0.0.1:80", "evil.example", "", 421},
		{"through a proxy", "127.0.0.1:1234", "127.0.0.1:80", "localhost", "10.0.0.7", 403},
		{"nonsense", "", "127.0.0.1:80", "localhost", "", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			local, err := net.ResolveTCPAddr("tcp", c.local)
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(local))
			r := httptest.NewRequestWithContext(ctx, "GET", "/debug/pprof/goroutine?debug=1", nil)
			r.RemoteAddr, r.Host = c.remote, c.host
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%d", w.Code)
			}
		})
	}
}
