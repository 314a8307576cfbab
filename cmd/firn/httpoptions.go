package main

import (
	"bytes"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"firn.dev/access/login"
	"firn.dev/coordinator/security"
	"firn.dev/rest"
)

// httpLoginOptions say how clients of HTTP prove who they are, and nodes to each other.
type httpLoginOptions struct {
	auth       string
	plaintext  bool
	secretFile string
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
	f.BoolVar(&o.plaintext, "http-plaintext-logins", false, "take passwords and tokens of other machines over HTTP "+
		"without TLS as well: everybody on the network between can read them")
	f.StringVar(&o.secretFile, "cluster-secret-file", "", "`file` with the secret by which the nodes of the cluster know "+
		"each other, the same on all of them, 32 bytes or more (default: one that the nodes keep in the bucket)")
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
	ended := security.EndedSessions{View: n.member.View()}
	return &rest.Logins{Passwords: n.passwords, Tokens: n.tokens, Principals: n.options.principals(),
		Required: auth == requiredHTTPAuth,
		Sessions: login.NewSessions(n.clusterSecret(), n.passwords, ended), Plaintext: n.options.httpLogins.plaintext}
}

// restSettings are the flags of the options that answers over HTTP speak of.
var restSettings = map[string]string{
	"FileUsers":          "--users-file",
	"Logins":             "--http-auth",
	"Logins.Plaintext":   "--http-plaintext-logins",
	"MaxBodyBytes":       "--http-max-body",
	"NodeInfo.HTTP":      "--advertise-http",
	"RequestMemoryBytes": "--http-memory",
	"TLS":                "--https",
}

// readSecret reads --cluster-secret-file; nil if there is none.
func (o *httpLoginOptions) readSecret() ([]byte, error) {
	if o.secretFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.secretFile)
	if err != nil {
		return nil, usagef("--cluster-secret-file: %w", err)
	}
	if text = bytes.TrimSpace(text); len(text) < login.MinSecretBytes {
		return nil, usagef("--cluster-secret-file %s has %d bytes; there have to be %d at least, chosen by chance: "+
			"'openssl rand -base64 32' makes such", o.secretFile, len(text), login.MinSecretBytes)
	}
	return text, nil
}

// proves says whether anybody proves anything to this node, so that the cluster needs a secret.
func (o *serveOptions) proves() bool {
	return o.access.kind == aclAuthorizer || o.httpAuth() != noHTTPAuth ||
		slices.ContainsFunc(o.kafkaListeners(), listenerFlag.asksForLogin)
}

// clusterSecret is that of --cluster-secret-file, or of the bucket.
func (n *node) clusterSecret() login.ClusterSecret {
	if n.secret != nil {
		return func() []byte { return n.secret }
	}
	return security.Secret(n.member.View())
}

// peers is for requests between nodes; nil where nobody logs in.
func (n *node) peers() *login.Peers {
	if !n.options.proves() {
		return nil
	}
	return login.NewPeers(n.clusterSecret())
}
