package kafka

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/budget"
)

// peer is the client at the other end of a connection: who it is, and as what it described itself.
type peer struct {
	Address  string
	ClientID string
	Software string
	listener string // that it came through
	address  netip.Addr

	session *session // on a listener with SASL
	known   func()   // is called when it has logged in
	end     error    // closes the connection after the answer

	asks    *access.Asker // of the request that is being answered
	large   bool          // it has more than MaxAdminRequestBytes: of APIs that answer those
	work    *stopwatch    // of that request
	request *budget.Hold  // memory of the request that is being answered
	answer  *budget.Hold  // memory of the answer to it
}

// may asks whether the client may do something with a resource, and refuses if not. Every handler
// asks here for everything that its request names.
func (p *peer) may(operation access.Operation, on access.ResourceType, name string) *refusal {
	if p.asks.May(operation, on, name) {
		return nil
	}
	return forbid(p.asks, operation, access.Resource{Type: on, Name: name})
}

// mayWithCluster is may for the one cluster.
func (p *peer) mayWithCluster(operation access.Operation) *refusal {
	return p.may(operation, access.Cluster, access.ClusterName)
}

// forbid refuses what the authorizer did not allow.
func forbid(asks *access.Asker, operation access.Operation, on access.Resource) *refusal {
	asks.Audit.Refused(asks.Client, operation, on)
	return refuse(on.Type.Refused(), "%s has no permission: %s on %s", asks.Client.Principal, operation, on)
}

// api is one Kafka API: the versions served, what is so of all its requests, and the code that
// answers.
type api struct {
	key                    kmsg.Key
	minVersion, maxVersion int16
	flexibleFrom           int16 // the first version with compact types and tagged fields
	rules
	handle func(ctx context.Context, s *Server, from *peer, req kmsg.Request) (kmsg.Response, error)
}

// rules are what is so of all requests of an API.
type rules struct {
	// needs is what the handler asks for (peer.may); empty for an API that is open.
	needs []access.Need
	// open says that everybody may use the API, and a client that has not proved who it is as well.
	open bool
	// parks says that a request waits for other clients, for minutes perhaps, and keeps nothing of its
	// own meanwhile: what a group keeps of it is counted against the group's limits.
	parks bool
	// answersLarge says that requests larger than MaxAdminRequestBytes, up to largeRequests times
	// that, get an error (peer.large): a member of a group takes a closed connection for a node that
	// is gone, and sends the same again.
	answersLarge bool
	// quota is what requests count against: see connection.throttle.
	quota access.Quota
}

func (a *api) serves(version int16) bool   { return version >= a.minVersion && version <= a.maxVersion }
func (a *api) flexible(version int16) bool { return version >= a.flexibleFrom }

// apis is the register of what is served, by API key.
var apis = map[int16]*api{}

// register adds an API. Handlers fill in error codes themselves; a returned error closes the
// connection. The caller sets the version and the throttle time of the response.
func register[Req kmsg.Request](minVersion, maxVersion int16,
	handle func(ctx context.Context, s *Server, from *peer, req Req) (kmsg.Response, error), r rules) {
	var zero Req
	registerAPI(api{key: kmsg.Key(zero.Key()), minVersion: minVersion, maxVersion: maxVersion, rules: r,
		handle: func(ctx context.Context, s *Server, from *peer, req kmsg.Request) (kmsg.Response, error) {
			return handle(ctx, s, from, req.(Req))
		}})
}

func registerAPI(a api) {
	name := a.key.Name()
	switch _, twice := apis[a.key.Int16()]; {
	case twice:
		panic(fmt.Sprintf("kafka: %s registered twice", name))
	case a.open == (len(a.needs) > 0):
		panic(fmt.Sprintf("kafka: %s has to say what its requests need, or that it is open, and not both", name))
	case a.quota == 0:
		panic(fmt.Sprintf("kafka: %s does not say what its requests count against", name))
	}
	req := kmsg.RequestForKey(a.key.Int16())
	for a.flexibleFrom = 0; a.flexibleFrom <= req.MaxVersion(); a.flexibleFrom++ {
		if req.SetVersion(a.flexibleFrom); req.IsFlexible() {
			break
		}
	}
	apis[a.key.Int16()] = &a
}
