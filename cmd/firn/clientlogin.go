package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"firn.dev/access/reread"
)

// clientLogin says how a client subcommand proves who it is, and whom it trusts.
type clientLogin struct {
	user         string
	passwordFile string
	mechanism    string
	tokenFile    string
	tls          bool
	ca           string
	certificate  string
	key          string
}

// addFlags adds the flags. Some commands have a --user and a --password-file that they are about.
func (l *clientLogin) addFlags(f *pflag.FlagSet) {
	f.StringVar(&l.user, "login-user", "", "`name` to log in with, and --login-password-file")
	f.StringVar(&l.passwordFile, "login-password-file", "", "`file` with the password of --login-user; a line end "+
		"behind it is not part of it")
	f.StringVar(&l.mechanism, "login-mechanism", "SCRAM-SHA-512", "`mechanism` to log in by: SCRAM-SHA-512, "+
		"SCRAM-SHA-256 or PLAIN")
	f.StringVar(&l.tokenFile, "login-token-file", "", "`file` with a token to log in with, by OAUTHBEARER; read at "+
		"each login")
	f.BoolVar(&l.tls, "tls", false, "speak TLS; the flags below mean it as well")
	f.StringVar(&l.ca, "tls-ca", "", "`file` with the authorities of servers' certificates, PEM (default: those of this "+
		"machine)")
	f.StringVar(&l.certificate, "client-cert", "", "`file` with a certificate to log in with, PEM")
	f.StringVar(&l.key, "client-key", "", "`file` with the key of --client-cert, PEM")
}

// options are those of a Kafka client.
func (l *clientLogin) options() (opts []kgo.Opt, err error) {
	if l.user != "" && l.tokenFile != "" {
		return nil, usagef("--login-user and --login-token-file are two ways to log in: give one")
	}
	if (l.user == "") != (l.passwordFile == "") {
		return nil, usagef("--login-user and --login-password-file belong together")
	}
	if l.user != "" {
		opt, err := l.byPassword()
		if err != nil {
			return nil, err
		}
		opts = append(opts, opt)
	}
	if l.tokenFile != "" {
		opts = append(opts, kgo.SASL(oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := os.ReadFile(l.tokenFile)
			return oauth.Auth{Token: strings.TrimSpace(string(token))}, err
		})))
	}
	if l.tls || l.ca != "" || l.certificate != "" {
		config, err := l.tlsConfig()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	return opts, nil
}

// loginFlags are the flags of addFlags that say who logs in.
var loginFlags = []string{"login-user", "login-password-file", "login-mechanism", "login-token-file", "client-cert",
	"client-key"}

// password reads the password. Standard input is read once, and is for records and the like.
func (l *clientLogin) password() (string, error) {
	if l.passwordFile == fromStandardInput {
		return "", usagef("--login-password-file -: a password is not read from standard input; give a file")
	}
	password, err := readPassword(streams{}, l.passwordFile)
	if err != nil {
		return "", fmt.Errorf("--login-password-file: %w", err)
	}
	return password, nil
}

func (l *clientLogin) byPassword() (kgo.Opt, error) {
	password, err := l.password()
	if err != nil {
		return nil, err
	}
	switch strings.ToUpper(l.mechanism) {
	case "PLAIN":
		return kgo.SASL(plain.Auth{User: l.user, Pass: password}.AsMechanism()), nil
	case "SCRAM-SHA-256":
		return kgo.SASL(scram.Auth{User: l.user, Pass: password}.AsSha256Mechanism()), nil
	case "SCRAM-SHA-512":
		return kgo.SASL(scram.Auth{User: l.user, Pass: password}.AsSha512Mechanism()), nil
	}
	return nil, usagef("--login-mechanism %q is none of SCRAM-SHA-512, SCRAM-SHA-256, PLAIN", l.mechanism)
}

func (l *clientLogin) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.ca != "" {
		var err error
		if config.RootCAs, err = reread.Authorities(l.ca); err != nil {
			return nil, usagef("--tls-ca: %w", err)
		}
	}
	if l.certificate != "" || l.key != "" {
		pair, err := tls.LoadX509KeyPair(l.certificate, l.key)
		if err != nil {
			return nil, fmt.Errorf("--client-cert %s with --client-key %s: %w", l.certificate, l.key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
