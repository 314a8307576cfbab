package main

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

// A server that listens elsewhere than on loopback says what is missing there.
func TestExposed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, nil},
		{[]string{"--kafka-addr", "localhost:9092", "--http-addr", "[::1]:8080"}, nil},
		{[]string{"--kafka-addr", "0.0.0.0:9092", "--advertise", "k:9092", "--http-addr", "none"},
			[]string{"--kafka-addr 0.0.0.0:9092 serves other machines without TLS and without authentication"}},
		{[]string{"--listener", "a=sasl-ssl://10.0.0.1:1", "--listener", "b=ssl://10.0.0.1:2", "--http-addr", ":8080"},
			[]string{"--listener 10.0.0.1:2 serves other machines without authentication",
				"--http-addr :8080 serves other machines without TLS: the network can read passwords and records"}},
		{[]string{"--authorizer", "acl", "--http-addr", ":8080", "--http-auth", "none"}, []string{
			"--http-addr :8080 serves other machines without TLS and without authentication"}},
		{[]string{"--listener", "b=ssl://10.0.0.1:2", "--tls-client-auth", "require"}, nil},
		{[]string{"--listener", "a=sasl-plaintext://10.0.0.1:1"}, []string{
			"--listener 10.0.0.1:1 serves other machines without TLS: the network can read passwords and records"}},
	} {
		o, f := &serveOptions{}, pflag.NewFlagSet("serve", pflag.ContinueOnError)
		o.addFlags(f)
		if err := f.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		if got := o.exposed(); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}
