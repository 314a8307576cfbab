// Package compose runs the nodes of localstack/compose.yaml as processes on loopback: what they are
// told, and whether they find each other by it.
package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"firn.dev/localstack"
	"firn.dev/test/process"
	"firn.dev/test/process/processtest"
)

// variables are what each node of the file is told, by the names of their services.
func variables(t *testing.T) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../localstack/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct{ Environment map[string]string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	nodes := map[string]map[string]string{}
	for name, service := range file.Services {
		if strings.HasPrefix(name, "node") {
			nodes[name] = service.Environment
		}
	}
	if len(nodes) != 2 {
		t.Fatalf("nodes are %v", slices.Collect(maps.Keys(nodes)))
	}
	return nodes
}

// TestCompose starts MinIO, Redis and the nodes. A name of a service leads to its process, and
// nowhere else; the port that a service publishes does too. Clients of either node find both, and
// either answers for a group, whichever has it.
func TestCompose(t *testing.T) {
	dir := t.TempDir()
	minio, err := localstack.StartMinIO(t.Context(), localstack.Options{Dir: filepath.Join(dir, "minio")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { minio.Kill() })
	redis, err := localstack.StartRedis(t.Context(), localstack.Options{Dir: filepath.Join(dir, "redis")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redis.Kill() })
	if err := minio.CreateBucket(t.Context(), "firn"); err != nil {
		t.Fatal(err)
	}
	bin, err := process.Build(t.Context(), dir, "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	specs, told := map[string]process.Spec{}, variables(t)
	leads := []string{"minio:9000", minio.Addr, "redis:6379", redis.Addr, "0.0.0.0:8081", "127.0.0.1:0"}
	for name := range told {
		if specs[name], err = process.NewSpec([]string{bin, "serve"}, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		leads = append(leads, name+":8080", specs[name].HTTP)
	}
	var nodes []*process.Process
	for _, name := range slices.Sorted(maps.Keys(told)) {
		spec := specs[name]
		port := strings.TrimPrefix(told[name]["FIRN_KAFKA_ADDR"], "0.0.0.0:")
		own := strings.NewReplacer(append(slices.Clone(leads), "0.0.0.0:8080", spec.HTTP, "0.0.0.0:"+port, spec.Kafka,
			"127.0.0.1:"+port, spec.Kafka)...)
		for variable, value := range told[name] {
			spec.Env = append(spec.Env, variable+"="+own.Replace(value))
		}
		nodes = append(nodes, processtest.Start(t, spec))
	}
	for _, node := range nodes {
		knowsAll(t, node, nodes)
	}
	commit(t, nodes[0].Kafka())
	for _, node := range nodes {
		for i := range groups {
			wantLag(t, node, fmt.Sprint("/v1/groups/group-", i))
		}
	}
}

// wantLag waits until a node says that a group has one record before it. Groups change their nodes
// when one comes, and nobody answers for them in the few seconds until the new one has the lease.
func wantLag(t *testing.T, node *process.Process, group string) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got := ask(t, node, group)
		if got["lag"] == 1.0 {
			return
		}
		if time.Now().After(until) || got["code"] != "NOT_COORDINATOR" && got["code"] != "COORDINATOR_NOT_AVAILABLE" &&
			got["code"] != "COORDINATOR_LOAD_IN_PROGRESS" {
			t.Fatalf("a node says of %s: %v", group, got)
		}
	}
}

const groups = 16 // of different nodes, some of them

// commit writes two records, and commits the first of them in each group.
func commit(t *testing.T, address string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 1, -1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset("t", 0, 1, -1)
	for i := range groups {
		if err := adm.CommitAllOffsets(t.Context(), fmt.Sprint("group-", i), offsets); err != nil {
			t.Fatal(err)
		}
	}
}

// knowsAll waits until a node lists all, with addresses that lead to them.
func knowsAll(t *testing.T, node *process.Process, nodes []*process.Process) {
	t.Helper()
	want := map[string]string{}
	for _, n := range nodes {
		want[n.Kafka()] = n.HTTP()
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		found := map[string]string{}
		list, _ := ask(t, node, "/v1/nodes")["nodes"].([]any)
		for _, n := range list {
			n := n.(map[string]any)
			found[fmt.Sprint(n["kafka"])] = fmt.Sprint(n["http"])
		}
		if maps.Equal(found, want) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("a node knows %v, should know %v", found, want)
		}
	}
}

// ask gets a JSON object over HTTP.
func ask(t *testing.T, node *process.Process, path string) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+node.HTTP()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		t.Fatalf("GET %s: %s, %v", path, answer.Status, err)
	}
	return got
}
