package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Bounds of asking nodes: each has three lines for each partition.
const (
	scrapeTimeout  = 5 * time.Second
	maxScrapeBytes = 64 << 20
	maxLookBytes   = 1 << 30 // of all nodes together
	scrapesAtOnce  = 8
	maxNodesBytes  = 1 << 20
	maxNodes       = 256
)

// Metrics that top reads.
const (
	metricBytesIn     = "firn_kafka_bytes_in_total"
	metricBytesOut    = "firn_kafka_bytes_out_total"
	metricConnections = "firn_kafka_connections"
	metricRequests    = "firn_kafka_requests_total"
	metricLatency     = "firn_kafka_request_seconds"
	metricStore       = "firn_store_requests_total"
	metricStoreBytes  = "firn_store_bytes_total"
	metricFailing     = "firn_dependency_failing_seconds"
	metricEnd         = "firn_partition_high_watermark"
	metricStart       = "firn_partition_log_start_offset"
	metricSize        = "firn_partition_bytes"
	metricLag         = "firn_group_lag"
)

var topMetrics = []string{metricBytesIn, metricBytesOut, metricConnections, metricRequests, metricLatency, metricStore,
	metricStoreBytes, metricFailing, metricEnd, metricStart, metricSize, metricLag}

// scrape is what a node's metrics were at a time.
type scrape struct {
	at       time.Time
	families map[string]*dto.MetricFamily
	costly   []costlyProducer
}

// fetchBounded gets a URL's body, of so many bytes at most.
func (n *nodesOfTop) fetchBounded(ctx context.Context, url string, withLogin bool, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if withLogin {
		if err := n.authorize(request); err != nil {
			return nil, err
		}
	}
	response, err := n.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("GET %s: %s", request.URL.Path, response.Status)
	case int64(len(body)) > most:
		return nil, fmt.Errorf("GET %s: more than %d bytes", request.URL.Path, most)
	}
	return body, nil
}

// scrape asks a node for its metrics. left is how many bytes nodes may still send.
func (n *nodesOfTop) scrape(ctx context.Context, url string, withLogin bool, left *atomic.Int64) (*scrape, error) {
	body, err := n.fetchBounded(ctx, url+"/metrics", withLogin, min(maxScrapeBytes, max(left.Load(), 0)))
	left.Add(-int64(len(body)))
	if err != nil {
		return nil, err
	}
	s, err := parseScrape(body, time.Now())
	if err != nil {
		return nil, err
	}
	if body, err = n.fetchBounded(ctx, url+"/v1/producers", withLogin, maxCostsBytes); err == nil {
		s.costly, _ = costly(body) // an older node has no such list
	}
	return s, nil
}

// parseScrape reads the metrics that top needs out of Prometheus' text.
func parseScrape(text []byte, at time.Time) (*scrape, error) {
	var wanted bytes.Buffer
	for line := range bytes.Lines(text) {
		name := bytes.TrimPrefix(line, []byte("# TYPE "))
		if end := bytes.IndexAny(name, "{ "); end >= 0 && isTopMetric(string(name[:end])) {
			wanted.Write(line)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bufio.NewReader(&wanted))
	if err != nil {
		return nil, fmt.Errorf("the node's metrics: %w", err)
	}
	return &scrape{at: at, families: families}, nil
}

// isTopMetric says whether a name is that of a metric that top reads, or of a part of one.
func isTopMetric(name string) bool {
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if of, is := strings.CutSuffix(name, part); is {
			name = of
			break
		}
	}
	return slices.Contains(topMetrics, name)
}

// has says whether a metric has these labels.
func has(m *dto.Metric, labels map[string]string) bool {
	for name, value := range labels {
		if labelOf(m, name) != value {
			return false
		}
	}
	return true
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// each yields a metric's series and their values.
func (s *scrape) each(name string, labels map[string]string) func(yield func(*dto.Metric, float64) bool) {
	return func(yield func(*dto.Metric, float64) bool) {
		if s == nil {
			return
		}
		for _, m := range s.families[name].GetMetric() {
			if has(m, labels) && !yield(m, m.GetCounter().GetValue()+m.GetGauge().GetValue()+m.GetUntyped().GetValue()) {
				return
			}
		}
	}
}

// sum adds up the series that have these labels.
func (s *scrape) sum(name string, labels map[string]string) (sum float64) {
	for _, value := range s.each(name, labels) {
		sum += value
	}
	return sum
}

// rateOf is by how much a counter grew in a second since the scrape before. A node that was started
// anew has counted from 0.
func (s *scrape) rateOf(before *scrape, name string, labels map[string]string) float64 {
	if before == nil || !s.at.After(before.at) {
		return 0
	}
	now, then := s.sum(name, labels), before.sum(name, labels)
	if now < then {
		then = 0
	}
	return (now - then) / s.at.Sub(before.at).Seconds()
}

// buckets are how many observations a histogram has had up to each of its bounds.
func (s *scrape) buckets(name string, labels map[string]string) map[float64]float64 {
	counts := map[float64]float64{}
	for m := range s.each(name, labels) {
		for _, b := range m.GetHistogram().GetBucket() {
			counts[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	}
	return counts
}

// quantile is about how long so large a part of the observations since the scrape before took at
// most; nil if there were none.
func (s *scrape) quantile(before *scrape, q float64, name string, labels map[string]string) *millis {
	now, then := s.buckets(name, labels), map[float64]float64{}
	if before != nil {
		then = before.buckets(name, labels)
	}
	bounds := slices.Sorted(maps.Keys(now))
	if len(bounds) == 0 {
		return nil
	}
	count := func(bound float64) float64 { return now[bound] - then[bound] }
	total := count(bounds[len(bounds)-1])
	if total <= 0 { // nothing happened, or the node was started anew
		return nil
	}
	lower, below := 0.0, 0.0
	for _, bound := range bounds {
		if n := count(bound); n >= q*total {
			if math.IsInf(bound, 1) {
				return new(millis(lower * 1000))
			}
			return new(millis(1000 * (lower + (bound-lower)*(q*total-below)/(n-below))))
		}
		lower, below = bound, count(bound)
	}
	return nil
}

// peers asks a node for the URLs of all nodes.
func (n *nodesOfTop) peers(ctx context.Context, url string) (map[string]int32, error) {
	body, err := n.fetchBounded(ctx, url+"/v1/nodes", true, maxNodesBytes)
	if err != nil {
		return nil, err
	}
	var list struct {
		Nodes []struct {
			ID   int32  `json:"id"`
			HTTP string `json:"http"`
			Self bool   `json:"self"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("GET /v1/nodes: %w", err)
	}
	if len(list.Nodes) > maxNodes {
		return nil, fmt.Errorf("GET /v1/nodes: %d nodes, and firn top looks at %d at most", len(list.Nodes), maxNodes)
	}
	scheme, _, _ := strings.Cut(url, "://")
	found := map[string]int32{}
	for _, node := range list.Nodes {
		switch {
		case node.Self:
			found[url] = node.ID // as it is reached from here
		case node.HTTP != "":
			found[scheme+"://"+node.HTTP] = node.ID
		}
	}
	return found, nil
}
