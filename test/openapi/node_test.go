package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/security"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/rest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// exampleLog starts a node on which the examples of the document can be asked: it has the topic
// orders with records, the group billing with a claim and an offset, the group idle with an offset,
// the group reading with a member, and the share group work with a claimed record. The user bob
// has an ACL and a quota. It returns what stands for what in the examples.
func exampleLog(t *testing.T) (*rest.Server, *strings.Replacer) {
	t.Helper()
	s, node, members := startNode(t)
	ask(t, s, "POST", "/v1/topics", `{"name": "orders", "partitions": 3}`)
	ask(t, s, "POST", "/v1/topics/orders/records", `[{"partition": 0, "value": "a"}, {"partition": 0, "value": "b"}]`)
	at := segments.Partition{Topic: node.View().Topic("orders").ID}
	offsets := []coordinator.GroupOffset{{Partition: at, Offset: 0, LeaderEpoch: -1}}
	for _, group := range []string{"idle", "billing"} {
		if err := members.Commit(t.Context(), group, groups.Committer{Generation: -1}, offsets); err != nil {
			t.Fatal(err)
		}
	}
	member := groups.ConsumerHeartbeat{MemberID: "member-1", ClientID: "example", RebalanceTimeout: time.Minute,
		Names: []string{"orders"}, Owned: []segments.Partition{}}
	if a := members.ConsumerHeartbeat(t.Context(), "reading", member); a.Err != nil {
		t.Fatal(a.Err)
	}
	ask(t, s, "POST", "/v1/acls", `{"acls": [{"resource_type": "Topic", "resource_name": "orders",
		"principal": "User:bob", "operation": "Read"}]}`)
	ask(t, s, "PATCH", "/v1/quotas", `{"entity": {"user": "bob"}, "quotas": {"producer_byte_rate": 1048576}}`)
	ask(t, s, "PUT", "/v1/users/bob", `{"password": "pencil"}`)
	var got struct{ Claims []struct{ Epoch string } }
	answer := ask(t, s, "POST", "/v1/groups/billing/claims",
		`{"holder": "worker-1", "partitions": [{"topic": "orders", "partition": 0}]}`)
	if err := json.Unmarshal(answer, &got); err != nil || len(got.Claims) != 1 {
		t.Fatalf("the claims are %s (%v)", answer, err)
	}
	var work struct{ Claim string }
	answer = ask(t, s, "POST", "/v1/groups/work/records/claim", `{"topics": ["orders"], "from": "earliest"}`)
	if err := json.Unmarshal(answer, &work); err != nil || work.Claim == "" {
		t.Fatalf("the claim of a record is %s (%v)", answer, err)
	}
	return s, strings.NewReplacer("17592190238721", got.Claims[0].Epoch,
		"claim-00112233445566778899aabbccddeeff", work.Claim, "{cluster_id}", node.View().ClusterID(),
		"{member_id}", member.MemberID)
}

// startNode starts a node with a whole log behind it, in memory, for the length of the test.
func startNode(t *testing.T) (*rest.Server, *coordinator.Node, *groups.Manager) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := memory.New()
	info := coordinator.NodeInfo{ID: 1, KafkaHost: "127.0.0.1", KafkaPort: 9092, HTTP: "127.0.0.1:8080", Zone: "zone-a"}
	node, err := coordinator.Join(t.Context(), coordinator.NodeOptions{
		Store: store, Coordinator: embedded.New(embedded.Options{}), Info: info})
	must(err)
	blocks, err := index.New(index.Options{Store: store, View: node.View()})
	must(err)
	writer, err := ingest.New(ingest.Options{Store: store, Node: node, Sealed: blocks.Keep})
	must(err)
	members, err := groups.New(groups.Options{Node: node})
	must(err)
	everybody := []access.Principal{access.Anonymous, {Type: "User", Name: "alice"}}
	acls := security.NewACLs(node.View(), acl.Rules{SuperUsers: everybody}, slog.New(slog.DiscardHandler))
	passwords := login.NewPasswords(alice{})
	secret := func() []byte { return bytes.Repeat([]byte("s"), login.MinSecretBytes) }
	s, err := rest.New(rest.Options{Node: node, View: node.View(), Index: blocks, Writer: writer, Groups: members,
		Gatherer: prometheus.NewRegistry(), Authorizer: acls,
		Logins: &rest.Logins{Passwords: passwords,
			Sessions: login.NewSessions(secret, passwords, security.EndedSessions{View: node.View()})}})
	must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(errors.Join(writer.Close(ctx), members.Close(ctx), blocks.Close(), node.Close(ctx)))
	})
	return s, node, members
}

// alice is the one user, with the password "pencil".
type alice struct{}

var alicesKeys = sync.OnceValues(func() (access.ScramKeys, error) {
	return access.NewScramKeys(access.ScramSHA512, "pencil", access.DefaultScramIterations)
})

// ScramKeys implements access.Users.
func (alice) ScramKeys(user string, m access.ScramMechanism) (access.ScramKeys, bool) {
	keys, err := alicesKeys()
	return keys, err == nil && user == "alice" && m == access.ScramSHA512
}

// ask sends a request to a node, which has to do what it asks, and returns the answer.
func ask(t *testing.T, s *rest.Server, method, path, body string) []byte {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = "127.0.0.1:1" // from where passwords may come without TLS
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}
