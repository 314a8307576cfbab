package kafka_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/kafka"
	"firn.dev/segments/memory"
)

// everybodyIsSuper makes every client one that may change ACLs.
var everybodyIsSuper = underRules{Rules: acl.Rules{SuperUsers: []access.Principal{access.Anonymous}}}

// creationOf is the ACL of a pattern that allows reading to User:alice.
func creationOf(pattern kmsg.ACLResourcePatternType, name string) kmsg.CreateACLsRequestCreation {
	return kmsg.CreateACLsRequestCreation{ResourceType: kmsg.ACLResourceTypeTopic, ResourceName: name,
		ResourcePatternType: pattern, Principal: "User:alice", Host: "*",
		Operation: kmsg.ACLOperationRead, PermissionType: kmsg.ACLPermissionTypeAllow}
}

func TestACLs(t *testing.T) {
	f := startFirn(t, kafka.Options{Authorizer: everybodyIsSuper})
	literal, prefixed := kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLResourcePatternTypePrefixed
	good := []kmsg.CreateACLsRequestCreation{creationOf(literal, "log"), creationOf(prefixed, "lo"),
		creationOf(literal, "*"), creationOf(literal, "other"), creationOf(literal, "log")}
	bad := map[string]func(*kmsg.CreateACLsRequestCreation){
		"no name":         func(c *kmsg.CreateACLsRequestCreation) { c.ResourceName = "" },
		"no principal":    func(c *kmsg.CreateACLsRequestCreation) { c.Principal = "alice" },
		"pattern of any":  func(c *kmsg.CreateACLsRequestCreation) { c.ResourcePatternType = kmsg.ACLResourcePatternTypeAny },
		"any permission":  func(c *kmsg.CreateACLsRequestCreation) { c.PermissionType = kmsg.ACLPermissionTypeAny },
		"any operation":   func(c *kmsg.CreateACLsRequestCreation) { c.Operation = kmsg.ACLOperationAny },
		"another cluster": func(c *kmsg.CreateACLsRequestCreation) { c.ResourceType = kmsg.ACLResourceTypeCluster },
	}
	create := &kmsg.CreateACLsRequest{Version: 3, Creations: slices.Clone(good)}
	for _, spoil := range bad {
		c := creationOf(literal, "bad")
		spoil(&c)
		create.Creations = append(create.Creations, c)
	}
	for i, r := range ask[*kmsg.CreateACLsResponse](t, f, create).Results {
		if i < len(good) {
			wantCode(t, "a good ACL", r.ErrorCode, nil)
		} else {
			wantCode(t, "a bad ACL", r.ErrorCode, kerr.InvalidRequest)
		}
	}

	describe := func(pattern kmsg.ACLResourcePatternType, name *string) (names []string) {
		t.Helper()
		resp := ask[*kmsg.DescribeACLsResponse](t, f, &kmsg.DescribeACLsRequest{Version: 3,
			ResourceType: kmsg.ACLResourceTypeAny, ResourceName: name, ResourcePatternType: pattern,
			Operation: kmsg.ACLOperationAny, PermissionType: kmsg.ACLPermissionTypeAny})
		wantCode(t, "DescribeAcls", resp.ErrorCode, nil)
		for _, r := range resp.Resources {
			a := r.ACLs[0]
			if len(r.ACLs) != 1 || a.Principal != "User:alice" || a.Operation != kmsg.ACLOperationRead ||
				a.PermissionType != kmsg.ACLPermissionTypeAllow || a.Host != "*" {
				t.Errorf("an ACL is described as %+v", r)
			}
			names = append(names, r.ResourceName)
		}
		slices.Sort(names)
		return names
	}
	for _, c := range []struct {
		pattern kmsg.ACLResourcePatternType
		name    *string
		want    string
	}{
		{kmsg.ACLResourcePatternTypeAny, nil, "* lo log other"},
		{kmsg.ACLResourcePatternTypeMatch, new("log"), "* lo log"},
		{kmsg.ACLResourcePatternTypeMatch, new("loose"), "* lo"},
		{kmsg.ACLResourcePatternTypeAny, new("lo"), "lo"},
		{literal, new("log"), "log"},
		{literal, new("lo"), ""},
		{prefixed, nil, "lo"},
	} {
		if got := strings.Join(describe(c.pattern, c.name), " "); got != c.want {
			t.Errorf("pattern type %d, name %v selects %q, want %q", c.pattern, c.name, got, c.want)
		}
	}
	wantCode(t, "an empty filter", ask[*kmsg.DescribeACLsResponse](t, f, &kmsg.DescribeACLsRequest{Version: 3}).ErrorCode,
		kerr.InvalidRequest)

	results := ask[*kmsg.DeleteACLsResponse](t, f, &kmsg.DeleteACLsRequest{Version: 3,
		Filters: []kmsg.DeleteACLsRequestFilter{{}, {ResourceType: kmsg.ACLResourceTypeAny, ResourceName: new("log"),
			ResourcePatternType: kmsg.ACLResourcePatternTypeMatch, Operation: kmsg.ACLOperationAny,
			PermissionType: kmsg.ACLPermissionTypeAny}}}).Results
	wantCode(t, "an empty filter", results[0].ErrorCode, kerr.InvalidRequest)
	if got := results[1].MatchingACLs; len(got) != 3 || got[0].ErrorCode != 0 {
		t.Errorf("deleted were %+v", got)
	}
	if got := describe(kmsg.ACLResourcePatternTypeAny, nil); !slices.Equal(got, []string{"other"}) {
		t.Errorf("left are %v", got)
	}
}

// sharedCoordinator hides that a coordinator is Embedded, which is one node's own.
type sharedCoordinator struct{ coordinator.Coordinator }

// An ACL that is deleted on one node stops the open connections to every node.
func TestRevokedACLStopsOpenConnectionsOnEveryNode(t *testing.T) {
	store, c := memory.New(), sharedCoordinator{embedded.New(embedded.Options{})}
	one := startNode(t, kafka.Options{Authorizer: everybodyIsSuper}, store, 0, c, 1)
	two := startNode(t, kafka.Options{Authorizer: underRules{}}, store, 0, c, 2)
	one.createTopic(t, "log", 1)
	admin := one.admin(t)
	grant := kadm.NewACLs().Topics("log").Allow("User:ANONYMOUS").AllowHosts("*").
		ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite)
	if _, err := admin.CreateACLs(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	// caughtUp waits until the other node has seen what this one has answered.
	caughtUp := func() {
		t.Helper()
		if err := two.node.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	caughtUp()
	open := two.client(t).SeedBrokers()[0] // a connection that stays open, to this node whoever leads
	wantAsked := func(what string, want *kerr.Error) {
		t.Helper()
		req := kmsg.NewPtrListOffsetsRequest()
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "log", Partitions: []kmsg.ListOffsetsRequestTopicPartition{
			{Timestamp: latestOffset, CurrentLeaderEpoch: -1}}}}
		resp, err := open.Request(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, what, resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode, want)
	}
	wantAsked("while there is the ACL", nil)
	deleted, err := admin.DeleteACLs(t.Context(), grant)
	if err != nil || len(deleted) != 1 || len(deleted[0].Deleted) != 1 {
		t.Fatalf("deleted %+v, %v", deleted, err)
	}
	caughtUp()
	wantAsked("after the ACL was deleted", kerr.TopicAuthorizationFailed)
}
