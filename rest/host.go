package rest

import (
	"net"
	"net/http"
)

// knownHost refuses requests that come in on a loopback address and name another host. A page of
// any site can have its own name resolve to 127.0.0.1 (DNS rebinding); the browser then takes this
// server for the page's own origin, and sends an Origin and a Host that agree. Names that are this
// machine's alone, and the one that is advertised, are no site's.
func (s *Server) knownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, known := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if known && loopback(local.String()) && !loopback(r.Host) &&
			hostName(r.Host) != hostName(peerURL(s.opts.Node.Info()).Host) {
			fail(w, problem{Status: http.StatusMisdirectedRequest, Field: "Host",
				Detail: "this server listens on a loopback address, and the request is for another host: " +
					"ask 127.0.0.1 or localhost, or have the server advertise the name (" + s.setting("NodeInfo.HTTP") + ")"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostName is the host of an address that may have a port.
func hostName(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return trimBrackets(address)
}
