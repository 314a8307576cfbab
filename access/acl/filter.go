package acl

import (
	"errors"
	"strings"

	"firn.dev/access"
)

// Filter selects ACLs, as Kafka's AclBindingFilter does. The numbers are Kafka's: 0 is what the
// client that wrote them could not name, and Any selects all.
type Filter struct {
	Type        access.ResourceType
	Name        *string // nil: any
	PatternType PatternType
	Principal   *string
	Host        *string
	Operation   access.Operation
	Permission  Permission
}

// Any is every type, pattern, operation or permission.
const Any = 1

const unknown = 0

// PatternType is Kafka's.
type PatternType int8

// The types of patterns. In a filter, AnyPattern selects ACLs of just the name, and MatchingPattern
// all that matter to the resource of the name.
const (
	AnyPattern      PatternType = Any
	MatchingPattern PatternType = 2
	LiteralPattern  PatternType = 3
	PrefixedPattern PatternType = 4
)

// PatternType is the pattern's.
func (p Pattern) PatternType() PatternType {
	if p.Prefixed {
		return PrefixedPattern
	}
	return LiteralPattern
}

// patternTypeNames are Kafka's names.
var patternTypeNames = map[PatternType]string{
	AnyPattern: "Any", MatchingPattern: "Match", LiteralPattern: "Literal", PrefixedPattern: "Prefixed",
}

func (t PatternType) String() string { return patternTypeNames[t] }

// ParsePatternType finds the type of a name, whatever its case; 0 if there is none.
func ParsePatternType(name string) PatternType {
	for t, known := range patternTypeNames {
		if strings.EqualFold(name, known) {
			return t
		}
	}
	return unknown
}

// Permission is Kafka's AclPermissionType.
type Permission int8

// The permissions; AnyPermission in filters alone.
const (
	AnyPermission Permission = Any
	Deny          Permission = 2
	Allow         Permission = 3
)

// permissionNames are Kafka's names.
var permissionNames = map[Permission]string{AnyPermission: "Any", Deny: "Deny", Allow: "Allow"}

func (p Permission) String() string { return permissionNames[p] }

// ParsePermission finds the permission of a name, whatever its case; 0 if there is none.
func ParsePermission(name string) Permission {
	for p, known := range permissionNames {
		if strings.EqualFold(name, known) {
			return p
		}
	}
	return unknown
}

// Permission is the ACL's.
func (b Binding) Permission() Permission {
	if b.Deny {
		return Deny
	}
	return Allow
}

// Valid refuses a filter of what nobody knows.
func (f Filter) Valid() error {
	switch {
	case f.Type <= unknown || f.Type > access.User:
		return errors.New("the filter has an unknown type of resource")
	case f.PatternType <= unknown || f.PatternType > PrefixedPattern:
		return errors.New("the filter has an unknown type of pattern")
	case f.Operation <= unknown || f.Operation > access.TwoPhaseCommit:
		return errors.New("the filter has an unknown operation")
	case f.Permission <= unknown || f.Permission > Allow:
		return errors.New("the filter has an unknown permission")
	}
	return nil
}

// Matches reports whether the filter selects an ACL.
func (f Filter) Matches(b Binding) bool {
	return (f.Type == Any || f.Type == b.Type) &&
		f.matchesName(b.Pattern) &&
		(f.Principal == nil || *f.Principal == b.Principal.String()) &&
		(f.Host == nil || *f.Host == b.Host) &&
		(f.Operation == Any || f.Operation == b.Operation) &&
		(f.Permission == AnyPermission || f.Permission == b.Permission())
}

func (f Filter) matchesName(p Pattern) bool {
	switch f.PatternType {
	case LiteralPattern, PrefixedPattern:
		if f.PatternType != p.PatternType() {
			return false
		}
	case MatchingPattern:
		return f.Name == nil || p.Matches(*f.Name)
	}
	return f.Name == nil || *f.Name == p.Name
}

// Compare orders ACLs by what they are about, then by whom.
func Compare(a, b Binding) int {
	return strings.Compare(a.Key(), b.Key())
}
