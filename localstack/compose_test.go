package localstack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/redis"
	"firn.dev/groups"
	"firn.dev/health"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/ingest/costs"
	"firn.dev/kafka"
	"firn.dev/rest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/transactions"
)

// TestComposeBuildsThePinnedMinIO holds the image's version against the one that runs without
// containers.
func TestComposeBuildsThePinnedMinIO(t *testing.T) {
	text, err := os.ReadFile("compose/minio.Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "go install "+minioProgram.module+"\n") {
		t.Errorf("minio.Dockerfile does not install %s", minioProgram.module)
	}
}

// TestComposeFilesAreThere reads compose.yaml and looks for every file that it names.
func TestComposeFilesAreThere(t *testing.T) {
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Build   struct{ Context, Dockerfile string }
			Volumes []string
			Ports   []string
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"minio", "redis", "node1", "node2", "prometheus", "grafana"} {
		if _, there := compose.Services[name]; !there {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, service := range compose.Services {
		if service.Build.Dockerfile != "" {
			if _, err := os.Stat(filepath.Join(service.Build.Context, service.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, named := compose.Volumes[source]; named {
				continue
			}
			if _, err := os.Stat(source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is not on loopback", name, port)
			}
		}
	}
}

var (
	metricName = regexp.MustCompile(`\bfirn_[a-z0-9_]+`)
	grouping   = regexp.MustCompile(`by \(([^)]*)\)`)
	matcher    = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`)
	legend     = regexp.MustCompile(`\{\{(\w+)\}\}`)
	suffix     = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// TestRulesNameMetricsThatExist does the same for alerts; up is Prometheus' own.
func TestRulesNameMetricsThatExist(t *testing.T) {
	metrics := registered(t)
	text, err := os.ReadFile("../deploy/monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := metricName.FindAllString(string(text), -1)
	if len(names) < 10 {
		t.Errorf("%d metrics: the test looks at the wrong place", len(names))
	}
	for _, name := range names {
		_, there := metrics[name]
		if _, base := metrics[suffix.ReplaceAllString(name, "")]; !there && !base {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// TestDashboardNamesMetricsThatExist holds the names and labels of every query against what the
// packages register.
func TestDashboardNamesMetricsThatExist(t *testing.T) {
	metrics := registered(t)
	text, err := os.ReadFile("../deploy/monitoring/dashboards/firn.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries++
			labels := []string{"le", "instance", "job"} // histograms' and Prometheus' own
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				known, there := metrics[name]
				if !there {
					known, there = metrics[suffix.ReplaceAllString(name, "")]
				}
				if !there {
					t.Errorf("%s: there is no metric %s", panel.Title, name)
				}
				labels = append(labels, known...)
			}
			for _, label := range labelsOf(target.Expr, target.LegendFormat) {
				if !slices.Contains(labels, label) {
					t.Errorf("%s: %q is no label in %s", panel.Title, label, target.Expr)
				}
			}
		}
	}
	if queries < 20 {
		t.Errorf("%d queries: the test looks at the wrong place", queries)
	}
}

func labelsOf(expr, legendFormat string) (labels []string) {
	for _, match := range grouping.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, strings.Split(strings.ReplaceAll(match[1], " ", ""), ",")...)
	}
	for _, match := range slices.Concat(matcher.FindAllStringSubmatch(expr, -1),
		legend.FindAllStringSubmatch(legendFormat, -1)) {
		labels = append(labels, match[1])
	}
	return labels
}

// registered is the labels of every metric of Firn, by name: it wires the packages as a node does,
// and listens to what they register.
func registered(t *testing.T) map[string][]string { return wired(t).labels }

// wired is a registry that has what the packages of a node register.
func wired(t *testing.T) *listener {
	t.Helper()
	r := &listener{Registry: prometheus.NewRegistry(), labels: map[string][]string{}, help: map[string]string{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := segments.Measure(memory.New(), r, nil)
	must(err)
	store, err = segments.Hedge(store, r)
	must(err)
	must(health.Node{{Name: "coordinator"}}.Register(r))
	_, err = redis.NewCalls(r)
	must(err)
	node, err := coordinator.Join(t.Context(), coordinator.NodeOptions{
		Store: store, Coordinator: embedded.New(embedded.Options{}), Info: coordinator.NodeInfo{ID: 1}, Registerer: r,
	})
	must(err)
	defer func() { must(node.Close(t.Context())) }()
	blocks, err := index.New(index.Options{Store: store, View: node.View(), Registerer: r})
	must(err)
	defer func() { must(blocks.Close()) }()
	writer, err := ingest.New(ingest.Options{Store: store, Node: node, Registerer: r})
	must(err)
	defer func() { must(writer.Close(t.Context())) }()
	manager, err := groups.New(groups.Options{Node: node, Registerer: r})
	must(err)
	defer func() { must(manager.Close(t.Context())) }()
	tidy, err := cleanup.New(cleanup.Options{Store: store, Node: node, Pace: cleanup.NewPace(1 << 20), Registerer: r})
	must(err)
	defer func() { must(tidy.Close(t.Context())) }()
	endings, err := transactions.New(transactions.Options{Node: node, Writer: writer, Registerer: r})
	must(err)
	defer func() { must(endings.Close(t.Context())) }()
	spent, err := costs.NewProducers(r)
	must(err)
	_, err = kafka.New(kafka.Options{Node: node, Writer: writer, Index: blocks, Registerer: r, Costs: spent})
	must(err)
	_, err = rest.New(rest.Options{Node: node, View: node.View(), Gatherer: r, Registerer: r})
	must(err)
	return r
}

// listener is a registry that remembers descriptions. Metrics without series are not gathered, but
// are described.
type listener struct {
	*prometheus.Registry
	mu     sync.Mutex
	labels map[string][]string
	help   map[string]string
}

var description = regexp.MustCompile(`fqName: "([^"]+)", help: ("(?:[^"\\]|\\.)*").*variableLabels: \{([^}]*)\}`)

func (l *listener) Register(c prometheus.Collector) error {
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		c.Describe(described)
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	for d := range described {
		if match := description.FindStringSubmatch(d.String()); match != nil {
			l.labels[match[1]] = strings.Split(match[3], ",")
			l.help[match[1]], _ = strconv.Unquote(match[2]) // as the library has quoted it
		}
	}
	return l.Registry.Register(c)
}

func (l *listener) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := l.Register(c); err != nil {
			panic(err)
		}
	}
}
