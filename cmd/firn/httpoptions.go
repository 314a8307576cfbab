package main

import (
	"slices"

	"github.com/spf13/pflag"

	"firn.dev/rest"
)

// httpLoginOptions say how clients of HTTP prove who they are.
type httpLoginOptions struct {
	auth      string
	plaintext bool
}

// The choices of --http-auth.
const (
	autoHTTPAuth     = "auto"
	noHTTPAuth       = "none"
	optionalHTTPAuth = "optional"
	requiredHTTPAuth = "required"
)

func (o *httpLoginOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.auth, "http-auth", autoHTTPAuth, "`whether` clients of --http-addr log in: required, optional (those "+
		"that do not are User:ANONYMOUS), none (all are), or auto: required beside --authorizer acl or a sasl listener")
	f.BoolVar(&o.plaintext, "http-plaintext-logins", false, "take passwords of other machines over HTTP without TLS as "+
		"well: everybody on the network between can read them")
}

func (o *httpLoginOptions) validate(check func(flag string, err error)) {
	check("http-auth", oneOf(o.auth, autoHTTPAuth, requiredHTTPAuth, optionalHTTPAuth, noHTTPAuth))
}

// httpAuth is what --http-auth comes to.
func (o *serveOptions) httpAuth() string {
	switch {
	case o.httpLogins.auth != autoHTTPAuth:
		return o.httpLogins.auth
	case o.access.kind == aclAuthorizer || slices.ContainsFunc(o.kafkaListeners(), listenerFlag.asksForLogin):
		return requiredHTTPAuth
	}
	return noHTTPAuth
}

// logins are those of HTTP; nil if there are none.
func (n *node) logins() *rest.Logins {
	auth := n.options.httpAuth()
	if auth == noHTTPAuth {
		return nil
	}
	return &rest.Logins{Passwords: n.passwords, Required: auth == requiredHTTPAuth,
		Plaintext: n.options.httpLogins.plaintext}
}
