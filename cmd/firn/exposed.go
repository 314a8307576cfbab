package main

import (
	"fmt"
	"net"
)

// exposed says of each port that others than this machine reach what is missing there.
func (o *serveOptions) exposed() []string {
	var found []string
	add := func(flag, bind string, tls, proves bool) {
		host, _, err := net.SplitHostPort(bind)
		if ip := net.ParseIP(host); err != nil || host == "localhost" || ip != nil && ip.IsLoopback() {
			return
		}
		missing := ""
		switch {
		case !tls && !proves:
			missing = "without TLS and without authentication"
		case !tls:
			missing = "without TLS: the network can read passwords and records"
		case !proves:
			missing = "without authentication"
		default:
			return
		}
		found = append(found, fmt.Sprintf("--%s %s serves other machines %s", flag, bind, missing))
	}
	certificates := o.tls.ClientAuth == "require"
	for _, l := range o.kafkaListeners() {
		add(l.flag, l.bind, l.secure(), l.asksForLogin() || l.secure() && certificates)
	}
	if o.httpAddr != noHTTP {
		add("http-addr", o.httpAddr, o.https, o.https && certificates || o.httpAuth() == requiredHTTPAuth)
	}
	return found
}
