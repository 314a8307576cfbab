package login

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"strings"

	"firn.dev/access"
)

// PrincipalRules make principals of the subjects of certificates, as Kafka's
// ssl.principal.mapping.rules (KIP-371). None make them the subject as it is.
type PrincipalRules []principalRule

// principalRule is one of them; the zero value is DEFAULT.
type principalRule struct {
	whole, pattern *regexp.Regexp
	replacement    string
	change         func(string) string
}

// nextRule finds the first of some rules, and the comma behind it.
var nextRule = regexp.MustCompile(`^\s*(?:DEFAULT|RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?))\s*(?:,|$)`)

// javaSigns are what means something in a replacement of Java's: a group, or any sign as it is.
var javaSigns = regexp.MustCompile(`\$\d|\\.|\$`)

// replacementOf writes a replacement of Java's as Go does.
func replacementOf(java string) string {
	return javaSigns.ReplaceAllStringFunc(java, func(sign string) string {
		switch {
		case sign[0] == '$' && len(sign) > 1:
			return "${" + sign[1:] + "}"
		case strings.HasSuffix(sign, "$"):
			return "$$"
		}
		return sign[1:]
	})
}

// ParsePrincipalRules reads rules as Kafka writes them: DEFAULT, or RULE:pattern/replacement/ with
// L or U behind it for lower or upper case, divided by commas.
func ParsePrincipalRules(text string) (rules PrincipalRules, err error) {
	for rest := text; strings.TrimSpace(rest) != ""; {
		found := nextRule.FindStringSubmatch(rest)
		if found == nil {
			return nil, fmt.Errorf("%q is neither DEFAULT nor RULE:pattern/replacement/ with L or U behind it", rest)
		}
		rest = rest[len(found[0]):]
		rule := principalRule{change: map[string]func(string) string{"L": strings.ToLower, "U": strings.ToUpper}[found[3]]}
		if strings.Contains(found[0], "RULE:") {
			if rule.pattern, err = regexp.Compile(found[1]); err != nil {
				return nil, fmt.Errorf("RULE:%s/: %w", found[1], err)
			}
			rule.whole = regexp.MustCompile("^(?:" + found[1] + ")$")
			rule.replacement = replacementOf(found[2])
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// Of is who a client has proved to be in a handshake, or nobody. It returns ErrFailed for a
// certificate whose subject no rule matches.
func (r PrincipalRules) Of(state tls.ConnectionState) (access.Principal, error) {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return access.Anonymous, nil
	}
	return r.of(subjectName(state.VerifiedChains[0][0]))
}

func (r PrincipalRules) of(subject string) (access.Principal, error) {
	if len(r) == 0 {
		return access.Principal{Type: "User", Name: subject}, nil
	}
	for _, rule := range r {
		if name, matches := rule.apply(subject); matches && name != "" {
			return access.Principal{Type: "User", Name: name}, nil
		}
	}
	return access.Anonymous, fmt.Errorf("%w: no rule for principals makes a name of %s", ErrFailed, subject)
}

func (r principalRule) apply(subject string) (name string, matches bool) {
	switch {
	case r.pattern == nil:
		return subject, true
	case !r.whole.MatchString(subject):
		return "", false
	}
	if name = r.pattern.ReplaceAllString(subject, r.replacement); r.change != nil {
		name = r.change(name)
	}
	return name, true
}
