package access_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// The numbers are on the wire and will be in the bucket: they are Kafka's.
func TestNumbersAreKafkas(t *testing.T) {
	for operation, want := range map[access.Operation]kmsg.ACLOperation{
		access.Read: kmsg.ACLOperationRead, access.Write: kmsg.ACLOperationWrite, access.Create: kmsg.ACLOperationCreate,
		access.Delete: kmsg.ACLOperationDelete, access.Alter: kmsg.ACLOperationAlter,
		access.Describe: kmsg.ACLOperationDescribe, access.ClusterAction: kmsg.ACLOperationClusterAction,
		access.DescribeConfigs: kmsg.ACLOperationDescribeConfigs, access.AlterConfigs: kmsg.ACLOperationAlterConfigs,
		access.IdempotentWrite: kmsg.ACLOperationIdempotentWrite, access.All: kmsg.ACLOperationAll,
		access.CreateTokens: kmsg.ACLOperationCreateTokens, access.DescribeTokens: kmsg.ACLOperationDescribeTokens,
	} {
		if int8(operation) != int8(want) {
			t.Errorf("%s is %d; Kafka's %s is %d", operation, operation, want, want)
		}
	}
	for kind, want := range map[access.ResourceType]kmsg.ACLResourceType{
		access.Topic: kmsg.ACLResourceTypeTopic, access.Group: kmsg.ACLResourceTypeGroup,
		access.Cluster: kmsg.ACLResourceTypeCluster, access.TransactionalID: kmsg.ACLResourceTypeTransactionalId,
		access.DelegationToken: kmsg.ACLResourceTypeDelegationToken, access.User: kmsg.ACLResourceTypeUser,
	} {
		if int8(kind) != int8(want) {
			t.Errorf("%s is %d; Kafka's %s is %d", kind, kind, want, want)
		}
	}
}

// readers allows reading, and nothing else.
type readers struct{}

func (readers) Allows(_ access.Client, operation access.Operation, _ access.Resource) bool {
	return operation == access.Read
}

func TestAskerAsksForWhatIsDeclared(t *testing.T) {
	needs := []access.Need{access.Read.On(access.Topic), access.Write.On(access.Topic)}
	a := access.Asker{Authorizer: readers{}, Client: access.Client{Principal: access.Anonymous}, Needs: needs}
	got := []bool{
		a.May(access.Read, access.Topic, "log"), a.MayWithAny(access.Read, access.Topic),
		a.May(access.Write, access.Topic, "log"), a.May(access.Read, access.Group, "log"),
	}
	if want := []bool{true, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("allowed %v, want %v: Write is refused, and Read of a group was not declared", got, want)
	}
	if bits := a.Operations(access.Group, "g"); bits != 1<<access.Read {
		t.Errorf("operations %b", bits)
	}
	if n := testing.AllocsPerRun(100, func() { a.May(access.Read, access.Topic, "log") }); n > 0 {
		t.Errorf("asking allocates %v times", n)
	}
}
