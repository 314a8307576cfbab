package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// peer is the client at the other end of a connection, as it described itself.
type peer struct {
	Address  string
	ClientID string
	Software string
}

// api is one Kafka API: the versions served and the code that answers.
type api struct {
	key                    kmsg.Key
	minVersion, maxVersion int16
	handle                 func(ctx context.Context, s *Server, from *peer, req kmsg.Request) (kmsg.Response, error)
}

// apis is the register of what is served, by API key.
var apis = map[int16]api{}

// register adds an API. Handlers fill in error codes themselves; a returned error closes the connection.
func register[Req kmsg.Request](minVersion, maxVersion int16, handle func(ctx context.Context, s *Server, from *peer, req Req) (kmsg.Response, error)) {
	var zero Req
	key := kmsg.Key(zero.Key())
	if _, twice := apis[key.Int16()]; twice {
		panic(fmt.Sprintf("kafka: %s registered twice", key.Name()))
	}
	apis[key.Int16()] = api{key, minVersion, maxVersion, func(ctx context.Context, s *Server, from *peer, req kmsg.Request) (kmsg.Response, error) {
		return handle(ctx, s, from, req.(Req))
	}}
}
