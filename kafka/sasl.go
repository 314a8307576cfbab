package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// SaslHandshake, versions 0 and 1, and SaslAuthenticate, versions 0 to 2, as Kafka 4 on a listener
// without SASL: ILLEGAL_SASL_STATE, and no mechanisms. A client that wants to authenticate gets an
// error that names the reason, and not a closed connection.
func init() {
	register(0, 1, saslHandshake, rules{open: true, quota: access.Unthrottled})
	register(0, 2, saslAuthenticate, rules{open: true, quota: access.Unthrottled})
}

func saslHandshake(_ context.Context, _ *Server, _ *peer, req *kmsg.SASLHandshakeRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	resp.ErrorCode = kerr.IllegalSaslState.Code
	return resp, nil
}

func saslAuthenticate(_ context.Context, _ *Server, _ *peer, req *kmsg.SASLAuthenticateRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	resp.ErrorCode, resp.ErrorMessage = kerr.IllegalSaslState.Code, new("this listener has no authentication")
	return resp, nil
}
