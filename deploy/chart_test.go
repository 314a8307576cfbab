package deploy

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// everything turns on all that the chart can do.
var everything = []string{
	"store=s3://bucket/log", "coordinator.secret.name=redis", "credentialsSecret=bucket", "external.enabled=true",
	"external.advertise=kafka-$(NODE).example.com:9092",
	"autoscaling.enabled=true", "autoscaling.bufferedBytes=100Mi", "serviceMonitor.enabled=true",
	"prometheusRule.enabled=true", "env.FIRN_PUT_BUDGET=4",
}

// manifests is a rendered chart, each object decoded strictly by the types of Kubernetes itself.
type manifests struct {
	set      appsv1.StatefulSet
	services []corev1.Service
	kinds    []string
	pdb      policyv1.PodDisruptionBudget
	policy   networkingv1.NetworkPolicy
	scaler   autoscalingv2.HorizontalPodAutoscaler

	certificate certificate
}

// certificate is what the chart uses of cert-manager's type.
type certificate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		SecretName string            `json:"secretName"`
		IssuerRef  map[string]string `json:"issuerRef"`
		Usages     []string          `json:"usages"`
		DNSNames   []string          `json:"dnsNames"`
	} `json:"spec"`
}

// serviceMonitor and prometheusRule are what the chart uses of the Prometheus operator's types.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobLabel  string               `json:"jobLabel"`
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port, Interval string
		} `json:"endpoints"`
	} `json:"spec"`
}

type prometheusRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              ruleFile `json:"spec"`
}

// helm runs Helm on the chart.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("helm")
	if err != nil {
		out, _ := exec.Command("go", "env", "GOPATH").Output()
		path = filepath.Join(strings.TrimSpace(string(out)), "bin", "helm")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal("helm is missing: run 'make test-needs'")
	}
	cmd := exec.Command(path, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String() + errs.String(), err
}

func render(t *testing.T, values ...string) manifests {
	t.Helper()
	out, err := helm(t, append([]string{"template", "log", "helm/firn", "--namespace", "streams"}, sets(values)...)...)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var m manifests
	for document := range strings.SplitSeq(out, "\n---\n") {
		m.decode(t, []byte(document))
	}
	return m
}

func sets(values []string) (args []string) {
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return args
}

func (m *manifests) decode(t *testing.T, document []byte) {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		t.Fatalf("%v in:\n%s", err, document)
	}
	if kind.Kind == "" {
		return
	}
	m.kinds = append(m.kinds, kind.Kind)
	var service corev1.Service
	into := map[string]any{
		"StatefulSet": &m.set, "Service": &service, "PodDisruptionBudget": &m.pdb, "NetworkPolicy": &m.policy,
		"HorizontalPodAutoscaler": &m.scaler,
		"Certificate":             &m.certificate,
		"ServiceAccount":          &corev1.ServiceAccount{}, "ServiceMonitor": &serviceMonitor{},
		"PrometheusRule": &prometheusRule{},
	}[kind.Kind]
	if into == nil {
		t.Fatalf("no type is known for %s", kind.Kind)
	}
	if err := yaml.UnmarshalStrict(document, into); err != nil {
		t.Fatalf("%s: %v in:\n%s", kind.Kind, err, document)
	}
	if kind.Kind == "Service" {
		m.services = append(m.services, service)
	}
}

func TestChartPassesLint(t *testing.T) {
	for name, values := range map[string][]string{"least": {"store=s3://bucket/log", "replicas=1"},
		"everything": everything} {
		if out, err := helm(t, append([]string{"lint", "--strict", "helm/firn"}, sets(values)...)...); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestChartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		values []string
		says   string
	}{
		"no bucket":         {nil, "store is missing"},
		"a directory":       {[]string{"store=file:///data"}, "store"},
		"several, no Redis": {[]string{"store=s3://bucket/log"}, "several nodes need coordinator.url"},
		"a password in values": {[]string{"store=s3://bucket/log", "coordinator.url=redis://user:secret@host:6379"},
			"coordinator"},
		"two coordinators": {[]string{"store=s3://bucket/log", "coordinator.url=redis://host:6379",
			"coordinator.secret.name=redis"}, "exclude each other"},
		"outside, no name": {[]string{"store=s3://bucket/log", "coordinator.url=redis://host:6379",
			"external.enabled=true"}, "external.advertise is missing"},
		"TLS, no certificate": {[]string{"store=s3://bucket/log", "replicas=1", "security.protocol=sasl-ssl"},
			"security.tls.issuer.name is missing"},
		"two certificates": {[]string{"store=s3://bucket/log", "replicas=1", "security.https=true",
			"security.tls.secret=tls", "security.tls.issuer.name=ca"}, "exclude each other"},
		"certificates of nobody": {[]string{"store=s3://bucket/log", "replicas=1", "security.tls.clientAuth=require"},
			"security.protocol is ssl"},
		"super users of nothing": {[]string{"store=s3://bucket/log", "replicas=1", "security.superUsers={User:admin}"},
			"security.authorizer: acl"},
		"no protocol":      {[]string{"store=s3://bucket/log", "replicas=1", "security.protocol=tls"}, "security"},
		"an unknown value": {[]string{"store=s3://bucket/log", "replica=3"}, "replica"},
		"killed while it drains": {[]string{"store=s3://bucket/log", "coordinator.url=redis://host:6379",
			"terminationGracePeriodSeconds=10"},
			"terminationGracePeriodSeconds"},
	} {
		out, err := helm(t, append([]string{"template", "log", "helm/firn"}, sets(c.values)...)...)
		if err == nil {
			t.Errorf("%s: it was rendered", name)
		} else if !strings.Contains(out, c.says) {
			t.Errorf("%s: %q does not say %q", name, out, c.says)
		}
	}
}

func TestChartMakesWhatItSays(t *testing.T) {
	least := render(t, "store=s3://bucket/log", "coordinator.url=rediss://host:6379")
	if want := []string{"NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "ServiceAccount",
		"StatefulSet"}; !slices.Equal(sorted(least.kinds), want) {
		t.Errorf("kinds %v, want %v", sorted(least.kinds), want)
	}
	all := render(t, everything...)
	for _, kind := range []string{"HorizontalPodAutoscaler", "ServiceMonitor", "PrometheusRule"} {
		if !slices.Contains(all.kinds, kind) {
			t.Errorf("there is no %s", kind)
		}
	}
	for _, m := range []manifests{least, all} {
		m.checkPods(t)
		m.checkSelectors(t)
	}
	if n := int(*least.set.Spec.Replicas); n != 3 {
		t.Errorf("%d replicas", n)
	}
	if all.set.Spec.Replicas != nil {
		t.Error("the chart and the autoscaler would fight over replicas")
	}
	nodes := 0
	for _, s := range all.services {
		if s.Spec.Selector["apps.kubernetes.io/pod-index"] != "" {
			nodes++
		}
	}
	if want := int(all.scaler.Spec.MaxReplicas); nodes != want {
		t.Errorf("%d nodes have a service of their own, up to %d may run", nodes, want)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// checkPods holds what every pod has to be.
func (m *manifests) checkPods(t *testing.T) {
	t.Helper()
	pod := m.set.Spec.Template.Spec
	c := pod.Containers[0]
	if !*pod.SecurityContext.RunAsNonRoot || !*c.SecurityContext.ReadOnlyRootFilesystem ||
		*c.SecurityContext.AllowPrivilegeEscalation ||
		!slices.Contains(c.SecurityContext.Capabilities.Drop, "ALL") || *pod.AutomountServiceAccountToken {
		t.Error("the pod may do more than it needs")
	}
	if grace := *pod.TerminationGracePeriodSeconds; grace < 30+c.Lifecycle.PreStop.Sleep.Seconds {
		t.Errorf("%d s are too few for a drain", grace)
	}
	if c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/healthz" {
		t.Error("a node that cannot reach its bucket must get no work, and must not be killed for it")
	}
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if port := probe.HTTPGet.Port.String(); port != "admin" {
			t.Errorf("the probe of %s shares port %s with clients, who may take it away", probe.HTTPGet.Path, port)
		}
	}
	if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		t.Error("no resources")
	}
	if m.set.Spec.VolumeClaimTemplates != nil || pod.Volumes != nil {
		t.Error("nodes keep nothing, so they need no volume")
	}
	flags := serveVariables(t)
	for _, e := range c.Env {
		if strings.HasPrefix(e.Name, "FIRN_") && !flags[e.Name] {
			t.Errorf("%s is no flag of firn serve", e.Name)
		}
	}
	zones := false
	for _, spread := range pod.TopologySpreadConstraints {
		zones = zones || spread.TopologyKey == "topology.kubernetes.io/zone"
	}
	if !zones {
		t.Error("nodes are not spread over zones")
	}
}

// checkSelectors wants everything that selects pods to select these, and every port to be one of
// theirs.
func (m *manifests) checkSelectors(t *testing.T) {
	t.Helper()
	template := m.set.Spec.Template
	pod := labels.Set(template.Labels)
	ports := map[string]bool{}
	for _, p := range template.Spec.Containers[0].Ports {
		ports[p.Name] = true
	}
	selects := func(what string, s *metav1.LabelSelector) {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil || selector.Empty() || !selector.Matches(pod) {
			t.Errorf("%s selects %s (%v), pods have %s", what, selector, err, pod)
		}
	}
	selects("the set", m.set.Spec.Selector)
	selects("the disruption budget", m.pdb.Spec.Selector)
	selects("the network policy", &m.policy.Spec.PodSelector)
	governed := false
	for _, s := range m.services {
		selector := maps.Clone(s.Spec.Selector)
		delete(selector, "apps.kubernetes.io/pod-index")
		selects("service "+s.Name, &metav1.LabelSelector{MatchLabels: selector})
		for _, p := range s.Spec.Ports {
			if !ports[p.TargetPort.String()] {
				t.Errorf("service %s: pods have no port %s", s.Name, p.TargetPort.String())
			}
		}
		governed = governed || s.Name == m.set.Spec.ServiceName && s.Spec.ClusterIP == "None"
	}
	if !governed {
		t.Error("the set's own service is not there: pods would have no names")
	}
}

var serveFlag = regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\|")

// serveVariables are the variables that firn serve knows: configuration.md lists its flags,
// and a test of cmd/firn holds that list true.
func serveVariables(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, match := range serveFlag.FindAllStringSubmatch(read(t, "../docs/operating/configuration.md"), -1) {
		known["FIRN_"+strings.ToUpper(strings.ReplaceAll(match[1], "-", "_"))] = true
	}
	if len(known) < 10 {
		t.Fatal("docs/operating/configuration.md lists no flags: the test looks at the wrong place")
	}
	return known
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
