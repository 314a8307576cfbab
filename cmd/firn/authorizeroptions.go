package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// authorizerOptions say who may do what.
type authorizerOptions struct {
	kind          string
	superUsers    string
	everyoneNoACL bool
}

// The choices of --authorizer.
const (
	noAuthorizer  = "none"
	aclAuthorizer = "acl"
)

func (o *authorizerOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.kind, "authorizer", noAuthorizer, "what `decides` what clients may do: none (everybody may do "+
		"everything) or acl, as Kafka's StandardAuthorizer")
	f.StringVar(&o.superUsers, "super-users", "", "principals that may do everything, with semicolons between them, as "+
		"in `User:admin`;User:CN=ops,O=Example")
	f.BoolVar(&o.everyoneNoACL, "allow-everyone-if-no-acl-found", false, "allow everybody what is done with a resource "+
		"that no ACL is about")
}

func (o *authorizerOptions) validate(check func(flag string, err error)) {
	check("authorizer", oneOf(o.kind, noAuthorizer, aclAuthorizer))
	rules, err := o.rules()
	check("super-users", err)
	if o.kind != noAuthorizer {
		return
	}
	if len(rules.SuperUsers) > 0 {
		check("super-users", errors.New("means nothing without --authorizer acl"))
	}
	if o.everyoneNoACL {
		check("allow-everyone-if-no-acl-found", errors.New("means nothing without --authorizer acl"))
	}
}

func (o *authorizerOptions) rules() (acl.Rules, error) {
	rules := acl.Rules{AllowEveryoneIfNoACL: o.everyoneNoACL}
	for text := range strings.SplitSeq(o.superUsers, ";") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := access.ParsePrincipal(text)
		if err != nil {
			return rules, fmt.Errorf("names super users: %w", err)
		}
		rules.SuperUsers = append(rules.SuperUsers, p)
	}
	return rules, nil
}

// authorizer is that of a node with this view.
func (o *authorizerOptions) authorizer(view *coordinator.View, logger *slog.Logger) (access.Authorizer, error) {
	rules, err := o.rules()
	if err != nil || o.kind == noAuthorizer {
		return access.Everything{}, err
	}
	return security.NewACLs(view, rules, logger), nil
}
