package rest

import (
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
)

// profiles serves Go's profiles, as `go tool pprof` asks for them.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// loopbackOnly lets requests pass that stay within this machine: profiles show what is in memory.
// Both ends of the connection have to be loopback addresses; a Host that is none means that a
// browser was led here by a name, and a forwarding header that a proxy was.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, known := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		forwarded := r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != ""
		if !loopback(r.RemoteAddr) || known && !loopback(local.String()) || !loopback(r.Host) || forwarded {
			fail(w, problem{Status: http.StatusForbidden, Detail: "profiles are given out on a loopback address only: " +
				"ask on the machine itself, at 127.0.0.1, or through a tunnel to it"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopback says whether an address, with or without a port, is of this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761
		return true
	}
	ip, err := netip.ParseAddr(trimBrackets(host))
	return err == nil && ip.Unmap().IsLoopback()
}

// trimBrackets takes the brackets off an IPv6 address that came without a port.
func trimBrackets(host string) string {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		return host[1 : n-1]
	}
	return host
}
