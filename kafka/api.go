package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/budget"
)

// peer is the client at the other end of a connection, as it described itself.
type peer struct {
	Address  string
	ClientID string
	Software string

	request *budget.Hold // memory of the request that is being answered
	answer  *budget.Hold // memory of the answer to it
}

// api is one Kafka API: the versions served and the code that answers.
type api struct {
	key                    kmsg.Key
	minVersion, maxVersion int16
	flexibleFrom           int16 // the first version with compact types and tagged fields
	handle                 func(ctx context.Context, s *Server, from *peer, req kmsg.Request) (kmsg.Response, error)
}

func (a *api) serves(version int16) bool   { return version >= a.minVersion && version <= a.maxVersion }
func (a *api) flexible(version int16) bool { return version >= a.flexibleFrom }

// parks says that a request waits for other clients, for minutes perhaps, and keeps nothing of its own meanwhile: what a group keeps of it is
// counted against the group's limits.
func (a *api) parks() bool { return a.key == kmsg.JoinGroup || a.key == kmsg.SyncGroup }

// apis is the register of what is served, by API key.
var apis = map[int16]api{}

// register adds an API. Handlers fill in error codes themselves; a returned error closes the connection. The response's version is set
// by the caller.
func register[Req kmsg.Request](minVersion, maxVersion int16, handle func(ctx context.Context, s *Server, from *peer, req Req) (kmsg.Response, error)) {
	var zero Req
	registerAPI(api{key: kmsg.Key(zero.Key()), minVersion: minVersion, maxVersion: maxVersion,
		handle: func(ctx context.Context, s *Server, from *peer, req kmsg.Request) (kmsg.Response, error) {
			return handle(ctx, s, from, req.(Req))
		}})
}

func registerAPI(a api) {
	if _, twice := apis[a.key.Int16()]; twice {
		panic(fmt.Sprintf("kafka: %s registered twice", a.key.Name()))
	}
	req := kmsg.RequestForKey(a.key.Int16())
	for a.flexibleFrom = 0; a.flexibleFrom <= req.MaxVersion(); a.flexibleFrom++ {
		if req.SetVersion(a.flexibleFrom); req.IsFlexible() {
			break
		}
	}
	apis[a.key.Int16()] = a
}
