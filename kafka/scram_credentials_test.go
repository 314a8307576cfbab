package kafka_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator/embedded"
	"firn.dev/coordinator/security"
	"firn.dev/kafka"
	"firn.dev/segments/memory"
)

type upsertion = kmsg.AlterUserSCRAMCredentialsRequestUpsertion

// A user whom a client creates can prove itself, and is described; deleted, it is gone.
func TestScramCredentials(t *testing.T) {
	f := startFirn(t, kafka.Options{})
	admin := f.admin(t)
	alter := func(deletions []kadm.DeleteSCRAM, upsertions ...kadm.UpsertSCRAM) {
		t.Helper()
		altered, err := admin.AlterUserSCRAMs(t.Context(), deletions, upsertions)
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	alter(nil, kadm.UpsertSCRAM{User: "zoë", Mechanism: kadm.ScramSha256, Iterations: 8192, Password: "secret"},
		kadm.UpsertSCRAM{User: "bob", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "other"})
	users := security.Users{View: f.node.View()}
	keys, has := users.ScramKeys("zoë", access.ScramSHA256)
	if !has || !keys.Match(access.ScramSHA256, "secret") || keys.Match(access.ScramSHA256, "Secret") ||
		keys.Iterations != 8192 {
		t.Errorf("the user's keys are not those of the password, or there are none: %v", has)
	}
	described, err := admin.DescribeUserSCRAMs(t.Context())
	if err != nil || len(described) != 2 || described["zoë"].CredInfos[0].Iterations != 8192 ||
		described["bob"].CredInfos[0].Mechanism != kadm.ScramSha512 {
		t.Errorf("users are %+v, %v", described, err)
	}
	alter([]kadm.DeleteSCRAM{{User: "zoë", Mechanism: kadm.ScramSha256}})
	if _, has := users.ScramKeys("zoë", access.ScramSHA256); has {
		t.Error("a user that was deleted is still there")
	}

	good := upsertion{Name: "eve", Mechanism: 1, Iterations: 4096,
		Salt: make([]byte, 16), SaltedPassword: make([]byte, 32)}
	for name, c := range map[string]struct {
		spoil func(*upsertion)
		want  *kerr.Error
	}{
		"mechanism":       {func(u *upsertion) { u.Mechanism = 3 }, kerr.UnsupportedSaslMechanism},
		"few iterations":  {func(u *upsertion) { u.Iterations = 4095 }, kerr.UnacceptableCredential},
		"many iterations": {func(u *upsertion) { u.Iterations = 1 << 30 }, kerr.UnacceptableCredential},
		"no name":         {func(u *upsertion) { u.Name = "" }, kerr.UnacceptableCredential},
		"no salt":         {func(u *upsertion) { u.Salt = nil }, kerr.UnacceptableCredential},
		"no password": {func(u *upsertion) { u.SaltedPassword = nil },
			kerr.UnacceptableCredential},
		"others' lengths": {func(u *upsertion) { // as in Kafka
			u.Name, u.Salt, u.SaltedPassword = "odd", []byte("my-salt"), []byte("my-salted-password")
		}, nil},
	} {
		bad := good
		c.spoil(&bad)
		req := &kmsg.AlterUserSCRAMCredentialsRequest{Upsertions: []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{bad}}
		wantCode(t, name, ask[*kmsg.AlterUserSCRAMCredentialsResponse](t, f, req).Results[0].ErrorCode, c.want)
	}
	twice := &kmsg.AlterUserSCRAMCredentialsRequest{
		Deletions: []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "bob", Mechanism: 2}, {Name: "eve", Mechanism: 1}},
		Upsertions: []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{
			{Name: "bob", Mechanism: 2, Iterations: 4096, Salt: good.Salt, SaltedPassword: make([]byte, 64)}}}
	results := ask[*kmsg.AlterUserSCRAMCredentialsResponse](t, f, twice).Results
	if len(results) != 2 {
		t.Fatalf("%d answers, want one for each user", len(results))
	}
	wantCode(t, "a user twice", results[0].ErrorCode, kerr.DuplicateResource)
	wantCode(t, "a user that there is not", results[1].ErrorCode, kerr.ResourceNotFound)
	if _, has := users.ScramKeys("bob", access.ScramSHA512); !has {
		t.Error("a user that was named twice is gone")
	}
}

// What one node has answered for, the next may change: users and ACLs.
func TestOtherNodesKnowOfUsersAndACLs(t *testing.T) {
	store, c := memory.New(), sharedCoordinator{embedded.New(embedded.Options{})}
	one := startNode(t, kafka.Options{Authorizer: everybodyIsSuper}, store, 0, c, 1)
	two := startNode(t, kafka.Options{Authorizer: everybodyIsSuper}, store, 0, c, 2)
	for i := range 10 {
		name := fmt.Sprint("u", i)
		set := &kmsg.AlterUserSCRAMCredentialsRequest{Upsertions: []upsertion{{Name: name, Mechanism: 1, Iterations: 4096,
			Salt: make([]byte, 16), SaltedPassword: make([]byte, 32)}}}
		wantCode(t, name, ask[*kmsg.AlterUserSCRAMCredentialsResponse](t, one, set).Results[0].ErrorCode, nil)
		unset := &kmsg.AlterUserSCRAMCredentialsRequest{
			Deletions: []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: name, Mechanism: 1}}}
		wantCode(t, name, ask[*kmsg.AlterUserSCRAMCredentialsResponse](t, two, unset).Results[0].ErrorCode, nil)

		grant := &kmsg.CreateACLsRequest{Version: 3,
			Creations: []kmsg.CreateACLsRequestCreation{creationOf(kmsg.ACLResourcePatternTypeLiteral, name)}}
		wantCode(t, name, ask[*kmsg.CreateACLsResponse](t, one, grant).Results[0].ErrorCode, nil)
		revoke := &kmsg.DeleteACLsRequest{Version: 3, Filters: []kmsg.DeleteACLsRequestFilter{{
			ResourceType: kmsg.ACLResourceTypeAny, ResourcePatternType: kmsg.ACLResourcePatternTypeAny,
			Operation: kmsg.ACLOperationAny, PermissionType: kmsg.ACLPermissionTypeAny}}}
		if deleted := ask[*kmsg.DeleteACLsResponse](t, two, revoke).Results[0].MatchingACLs; len(deleted) != 1 {
			t.Errorf("deleted are %+v", deleted)
		}
	}
}

// A client that may not change users is told so once for each, and nothing else of them.
func TestScramCredentialsNeedPermission(t *testing.T) {
	f := startFirn(t, kafka.Options{Authorizer: underRules{}})
	req := &kmsg.AlterUserSCRAMCredentialsRequest{
		Deletions:  []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "bob", Mechanism: 1}, {Name: "bob", Mechanism: 9}},
		Upsertions: []upsertion{{Name: "", Mechanism: 7}}}
	results := ask[*kmsg.AlterUserSCRAMCredentialsResponse](t, f, req).Results
	if len(results) != 2 {
		t.Fatalf("%d answers, want one for each user", len(results))
	}
	for _, r := range results {
		wantCode(t, r.User, r.ErrorCode, kerr.ClusterAuthorizationFailed)
	}
}
