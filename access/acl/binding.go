// Package acl decides by access control lists what clients may do, as Kafka's StandardAuthorizer
// does (KIP-11, KIP-290, KIP-679).
package acl

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"firn.dev/access"
)

// Wildcard stands for every name in a literal pattern, and for every host.
const Wildcard = "*"

// everybody stands for every principal, whatever its type.
var everybody = access.Principal{Type: "User", Name: Wildcard}

// Pattern is the resources that an ACL is about.
type Pattern struct {
	Type     access.ResourceType
	Name     string // of the one resource, or Wildcard
	Prefixed bool   // Name is how the names begin
}

// Matches reports whether the resource of a name is one of the pattern's.
func (p Pattern) Matches(name string) bool {
	if p.Prefixed {
		return strings.HasPrefix(name, p.Name)
	}
	return p.Name == name || p.Name == Wildcard
}

// Binding is one ACL.
type Binding struct {
	Pattern
	Principal access.Principal
	Host      string // an address, or Wildcard
	Operation access.Operation
	Deny      bool // and not allow
}

// Spec is an ACL as a client asks for it: all of it may be wrong.
type Spec struct {
	Type        access.ResourceType
	Name        string
	PatternType PatternType
	Principal   string
	Host        string
	Operation   access.Operation
	Permission  Permission
}

// Binding is the ACL that is asked for, or why there can be none.
func (s Spec) Binding() (Binding, error) {
	principal, err := access.ParsePrincipal(s.Principal)
	if err != nil {
		return Binding{}, err
	}
	b := Binding{Pattern: Pattern{Type: s.Type, Name: s.Name, Prefixed: s.PatternType == PrefixedPattern},
		Principal: principal, Host: s.Host, Operation: s.Operation, Deny: s.Permission == Deny}
	if b.PatternType() != s.PatternType {
		return b, fmt.Errorf("an ACL is of a literal or a prefixed pattern, not of type %d", s.PatternType)
	}
	if b.Permission() != s.Permission {
		return b, fmt.Errorf("an ACL allows or denies; permission %d does neither", s.Permission)
	}
	return b, b.Valid()
}

// maxText bounds the name, the principal and the host of an ACL, each.
const maxText = 1024

// Valid refuses what Kafka refuses, and what Kafka has no bound for.
func (b Binding) Valid() error {
	switch {
	case b.Type < access.Topic || b.Type > access.User:
		return fmt.Errorf("%d is no type of a resource", b.Type)
	case b.Operation < access.All || b.Operation > access.TwoPhaseCommit:
		return fmt.Errorf("%d is no operation", b.Operation)
	case b.Name == "":
		return fmt.Errorf("the name of the resource is empty; write %s for all of them", Wildcard)
	case b.Type == access.Cluster && b.Name != access.ClusterName:
		return fmt.Errorf("the only valid name for the Cluster resource is %s", access.ClusterName)
	case b.Principal.Type == "" || b.Principal.Name == "":
		return fmt.Errorf("%q is no principal: write its type and name, as in User:alice", b.Principal)
	case b.Host == "":
		return fmt.Errorf("the host is empty; write %s for all of them", Wildcard)
	case !utf8.ValidString(b.Name + b.Principal.String() + b.Host): // it would be kept as another
		return errors.New("a name, a principal or a host is not UTF-8")
	case len(b.Name) > maxText || len(b.Principal.String()) > maxText || len(b.Host) > maxText:
		return fmt.Errorf("a name, a principal or a host has more than %d bytes", maxText)
	}
	return nil
}

// Key is the whole ACL as text: two ACLs are the same if their keys are. It is what lies in the
// bucket: coordinator/security/FORMAT.md.
func (b Binding) Key() string {
	key, err := json.Marshal([7]string{b.Type.String(), b.PatternType().String(), b.Name, b.Principal.String(), b.Host,
		b.Operation.String(), b.Permission().String()})
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(key)
}

// ParseKey reads what Key writes.
func ParseKey(key string) (Binding, error) {
	var f []string
	if err := json.Unmarshal([]byte(key), &f); err != nil || len(f) != 7 {
		return Binding{}, fmt.Errorf("%q is no ACL", key)
	}
	principal, err := access.ParsePrincipal(f[3])
	if err != nil {
		return Binding{}, err
	}
	pattern := Pattern{Type: access.ParseResourceType(f[0]), Name: f[2], Prefixed: f[1] == PrefixedPattern.String()}
	b := Binding{Pattern: pattern, Principal: principal, Host: f[4], Operation: access.ParseOperation(f[5]),
		Deny: f[6] == Deny.String()}
	if b.Key() != key {
		return Binding{}, fmt.Errorf("%q is no ACL that this version of firn knows", key)
	}
	return b, b.Valid()
}
