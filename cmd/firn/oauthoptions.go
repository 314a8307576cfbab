package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"firn.dev/access/login"
)

// oauthOptions say which bearer tokens are good.
type oauthOptions struct {
	tokens login.TokenOptions
	scopes string
}

func (o *oauthOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.tokens.JWKS, "oauth-jwks", "", "`URL` (https) or file of the keys of the issuer of tokens: clients "+
		"log in with OAUTHBEARER, and on HTTP with Bearer")
	f.StringVar(&o.tokens.Issuer, "oauth-issuer", "", "the `issuer` (iss) that tokens have to be of")
	f.StringVar(&o.tokens.Audience, "oauth-audience", "", "the `audience` (aud) that tokens have to be for")
	f.StringVar(&o.tokens.Claim, "oauth-principal-claim", "sub", "the `claim` that has the name of the principal")
	f.StringVar(&o.scopes, "oauth-scope", "", "`scopes` that tokens have to have, with spaces between them")
	f.DurationVar(&o.tokens.ClockSkew, "oauth-clock-skew", 30*time.Second, "how far the issuer's clock may be from this "+
		"machine's")
}

func (o *oauthOptions) validate(check func(flag string, err error)) {
	check("oauth-clock-skew", within(o.tokens.ClockSkew, 0, 10*time.Minute))
	given := map[string]string{"oauth-jwks": o.tokens.JWKS, "oauth-issuer": o.tokens.Issuer,
		"oauth-audience": o.tokens.Audience}
	if strings.Join([]string{o.tokens.JWKS, o.tokens.Issuer, o.tokens.Audience, o.scopes}, "") == "" {
		return
	}
	for flag, value := range given {
		if value == "" {
			check(flag, errors.New("is missing: tokens need --oauth-jwks, --oauth-issuer and --oauth-audience"))
		}
	}
}

// tokens is what checks them; nil if there are none.
func (o *serveOptions) tokens(ctx context.Context, logger *slog.Logger) (*login.Tokens, error) {
	if o.oauth.tokens.JWKS == "" {
		return nil, nil
	}
	opts := o.oauth.tokens
	opts.Scopes = strings.Fields(o.oauth.scopes)
	tokens, err := login.NewTokens(ctx, opts, logger)
	if err != nil {
		return nil, usagef("--oauth-jwks: %w", err)
	}
	return tokens, nil
}
