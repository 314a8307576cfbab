// Package access is where Firn asks whether somebody may do something. Each Kafka API and each HTTP
// route says in its table row what it needs (Need). A front door makes an Asker for each request,
// and the Asker asks the one Authorizer. Nothing else in Firn decides who may do what.
//
// Operations, resources and principals are Kafka's (KIP-11), and so are their numbers.
package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Operation is Kafka's AclOperation.
type Operation int8

// The operations that requests need, All that ACLs may name beside them, and those with what Firn
// does not have: ACLs of them are kept.
const (
	All             Operation = 2
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
	CreateTokens    Operation = 13
	DescribeTokens  Operation = 14
	TwoPhaseCommit  Operation = 15
)

var operationNames = map[Operation]string{
	Read: "Read", Write: "Write", Create: "Create", Delete: "Delete", Alter: "Alter", Describe: "Describe",
	ClusterAction: "ClusterAction", DescribeConfigs: "DescribeConfigs", AlterConfigs: "AlterConfigs",
	IdempotentWrite: "IdempotentWrite", All: "All", CreateTokens: "CreateTokens", DescribeTokens: "DescribeTokens",
	TwoPhaseCommit: "TwoPhaseCommit",
}

func (o Operation) String() string { return operationNames[o] }

// ParseOperation finds the operation of a name, whatever its case; 0 if there is none.
func ParseOperation(name string) Operation {
	for o, known := range operationNames {
		if strings.EqualFold(name, known) {
			return o
		}
	}
	return 0
}

// ResourceType is Kafka's ResourceType.
type ResourceType int8

// The types of resources that requests are about.
const (
	Topic           ResourceType = 2
	Group           ResourceType = 3
	Cluster         ResourceType = 4
	TransactionalID ResourceType = 5
	DelegationToken ResourceType = 6 // Firn has none; ACLs of them are kept
	User            ResourceType = 7
)

// ClusterName is the name of the one resource of type Cluster.
const ClusterName = "kafka-cluster"

// resourceTypes says of each type what it is called, what a client is told to whom it is refused,
// and which operations there are (KIP-430).
var resourceTypes = map[ResourceType]struct {
	name       string
	refused    *kerr.Error
	operations []Operation
}{
	Topic: {"Topic", kerr.TopicAuthorizationFailed,
		[]Operation{Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs}},
	Group: {"Group", kerr.GroupAuthorizationFailed, []Operation{Read, Delete, Describe}},
	Cluster: {"Cluster", kerr.ClusterAuthorizationFailed,
		[]Operation{Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite}},
	TransactionalID: {"TransactionalId", kerr.TransactionalIDAuthorizationFailed, []Operation{Write, Describe}},
	DelegationToken: {"DelegationToken", kerr.DelegationTokenAuthorizationFailed, []Operation{Describe}},
	User:            {"User", kerr.ClusterAuthorizationFailed, []Operation{CreateTokens, DescribeTokens}},
}

func (t ResourceType) String() string { return resourceTypes[t].name }

// ParseResourceType finds the type of a name, whatever its case; 0 if there is none.
func ParseResourceType(name string) ResourceType {
	for t, known := range resourceTypes {
		if strings.EqualFold(name, known.name) {
			return t
		}
	}
	return 0
}

// Refused is the error of Kafka's for a request that may not do something with a resource of this
// type.
func (t ResourceType) Refused() *kerr.Error { return resourceTypes[t].refused }

// Resource is what something is done with: one topic, group, transactional id, or the cluster.
type Resource struct {
	Type ResourceType
	Name string
	// Any stands for every resource of the type: a client may do something with any of them if there
	// is at least one name that it may do it with. It has no Name.
	Any bool
}

func (r Resource) String() string {
	switch {
	case r.Any:
		return fmt.Sprintf("any %s", r.Type)
	case r.Type == Cluster:
		return "the cluster"
	}
	return fmt.Sprintf("%s %q", r.Type, r.Name)
}

// Principal is who a client has proved to be.
type Principal struct{ Type, Name string }

// Anonymous is a client that has proved nothing.
var Anonymous = Principal{"User", "ANONYMOUS"}

func (p Principal) String() string { return p.Type + ":" + p.Name }

// ParsePrincipal reads what String writes.
func ParsePrincipal(text string) (Principal, error) {
	kind, name, found := strings.Cut(text, ":")
	if !found || kind == "" || name == "" {
		return Principal{}, fmt.Errorf("%q is no principal: write its type and name, as in User:alice", text)
	}
	return Principal{kind, name}, nil
}

// Client is the one at the other end of a connection, as an authorizer sees it.
type Client struct {
	Principal Principal
	Host      string // its address as netip.Addr writes it, without a port
}

// Authorizer decides what clients may do.
type Authorizer interface {
	// Allows reports whether the client may do the operation with the resource. It is called for each
	// resource of each request, by many goroutines at once: it decides from what it has in memory, and
	// does not wait. When it cannot decide, it says no.
	Allows(client Client, operation Operation, on Resource) bool
}

// Everything allows everything to everybody: security is off.
type Everything struct{}

// Allows says yes.
func (Everything) Allows(Client, Operation, Resource) bool { return true }

// Need is one thing that requests of a kind may ask for: an operation with a type of resource.
type Need struct {
	Operation Operation
	On        ResourceType
}

// On is the need of an operation with a type of resource.
func (o Operation) On(t ResourceType) Need { return Need{o, t} }

// Asker asks for one request.
type Asker struct {
	Authorizer Authorizer
	Client     Client
	Needs      []Need // what requests of this kind may ask for, and nothing else
	Audit      *Audit // hears of what is refused and changed
}

// May asks whether the client may do something with the resource of a name. A need that the
// request's kind did not declare is refused: its table row would not be true.
func (a *Asker) May(operation Operation, on ResourceType, name string) bool {
	return a.ask(operation, Resource{Type: on, Name: name})
}

// MayWithAny asks whether there is a resource with which the client may do something.
func (a *Asker) MayWithAny(operation Operation, on ResourceType) bool {
	return a.ask(operation, Resource{Type: on, Any: true})
}

func (a *Asker) ask(operation Operation, on Resource) bool {
	return slices.Contains(a.Needs, Need{operation, on.Type}) && a.Authorizer.Allows(a.Client, operation, on)
}

// Operations is all that the client may do with a resource, as clients are told it: bit n stands
// for operation n (KIP-430).
func (a *Asker) Operations(on ResourceType, name string) (bits int32) {
	for _, operation := range resourceTypes[on].operations {
		if a.Authorizer.Allows(a.Client, operation, Resource{Type: on, Name: name}) {
			bits |= 1 << operation
		}
	}
	return bits
}

// Quota is what requests of a kind count against, and so what slows a client down that sends many
// of them. The names are those of Kafka's quotas.
type Quota int

// The quotas. Each table row names one, but for Connections.
const (
	Unthrottled   Quota = iota + 1 // what is asked before anything else, and costs nothing
	ProducedBytes                  // producer_byte_rate
	FetchedBytes                   // consumer_byte_rate
	Mutations                      // controller_mutation_rate: partitions that are created or deleted
	Requests                       // request_percentage: the time that requests take
	Connections                    // connection_creation_rate: from one address
)

var quotaNames = map[Quota]string{
	ProducedBytes: "producer_byte_rate", FetchedBytes: "consumer_byte_rate", Mutations: "controller_mutation_rate",
	Requests: "request_percentage", Connections: "connection_creation_rate",
}

func (q Quota) String() string { return quotaNames[q] }

// ParseQuota finds the quota of a name; 0 if there is none.
func ParseQuota(name string) Quota {
	for q, known := range quotaNames {
		if name == known {
			return q
		}
	}
	return 0
}
