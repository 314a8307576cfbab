package acl

import (
	"maps"
	"net/netip"
	"slices"

	"firn.dev/access"
)

// Rules are what holds beside the ACLs.
type Rules struct {
	SuperUsers []access.Principal // may do everything
	// AllowEveryoneIfNoACL allows what is done with a resource that no ACL matches, as Kafka's
	// allow.everyone.if.no.acl.found does.
	AllowEveryoneIfNoACL bool
}

// List decides by a set of ACLs, as Kafka's StandardAuthorizer does. It does not change. What it
// costs to ask does not grow with the number of ACLs: each may be found by all that it says but its
// operation.
type List struct {
	superUsers map[access.Principal]struct{}
	everyone   bool // if no ACL matches the resource

	patterns map[Pattern]struct{} // that have ACLs
	granted  map[grantee]operations
	lengths  [resourceTypes][]int // of the prefixes in patterns, ascending
	grants   map[holder][]grantee // of allowing ACLs
}

var _ access.Authorizer = (*List)(nil)

// resourceTypes bounds the numbers of types of resources.
const resourceTypes = access.User + 1

// grantee is all of an ACL but its operation, and whether it allows or denies.
type grantee struct {
	Pattern
	principal access.Principal
	host      string
}

// holder is a principal for which there are ACLs of resources of a type.
type holder struct {
	of        access.ResourceType
	principal access.Principal
}

// operations are those that ACLs of one grantee name: bit n stands for operation n.
type operations struct{ allowed, denied uint32 }

const all = 1 << access.All

// implying are the operations of an allowing ACL that allow other operations than their own too. A
// denying ACL denies just what it says.
var implying = map[access.Operation]uint32{
	access.Describe:        1<<access.Read | 1<<access.Write | 1<<access.Delete | 1<<access.Alter,
	access.DescribeConfigs: 1 << access.AlterConfigs,
}

// NewList makes a list of bindings that are Valid.
func NewList(r Rules, bindings []Binding) *List {
	l := &List{
		superUsers: map[access.Principal]struct{}{},
		everyone:   r.AllowEveryoneIfNoACL,
		patterns:   map[Pattern]struct{}{},
		granted:    make(map[grantee]operations, len(bindings)),
		grants:     map[holder][]grantee{},
	}
	for _, p := range r.SuperUsers {
		l.superUsers[p] = struct{}{}
	}
	for _, b := range bindings {
		l.add(b)
	}
	lengths := [resourceTypes]map[int]struct{}{}
	for p := range l.patterns {
		if p.Prefixed {
			if lengths[p.Type] == nil {
				lengths[p.Type] = map[int]struct{}{}
			}
			lengths[p.Type][len(p.Name)] = struct{}{}
		}
	}
	for i := range lengths {
		l.lengths[i] = slices.Sorted(maps.Keys(lengths[i]))
	}
	return l
}

func (l *List) add(b Binding) {
	l.patterns[b.Pattern] = struct{}{}
	to := grantee{b.Pattern, b.Principal, canonical(b.Host)}
	granted := l.granted[to]
	if b.Deny {
		granted.denied |= 1 << b.Operation
	} else {
		if granted.allowed == 0 {
			of := holder{b.Type, b.Principal}
			l.grants[of] = append(l.grants[of], to)
		}
		granted.allowed |= 1 << b.Operation
	}
	l.granted[to] = granted
}

// canonical writes an address as access.Client does: an IPv6 address has many forms.
func canonical(host string) string {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return host
}

// Allows implements access.Authorizer.
func (l *List) Allows(client access.Client, operation access.Operation, on access.Resource) bool {
	if _, super := l.superUsers[client.Principal]; super {
		return true
	}
	if on.Type < 0 || on.Type >= resourceTypes {
		return false
	}
	if on.Any {
		return l.allowsAny(client, operation, on.Type)
	}
	return l.allows(client, operation, on)
}

func (l *List) allows(client access.Client, operation access.Operation, on access.Resource) bool {
	m := match{client: client}
	m.take(l, Pattern{on.Type, on.Name, false})
	m.take(l, Pattern{on.Type, Wildcard, false})
	for _, n := range l.lengths[on.Type] {
		if n > len(on.Name) {
			break
		}
		m.take(l, Pattern{on.Type, on.Name[:n], true})
	}
	own := uint32(1<<operation | all)
	switch {
	case !m.found:
		return l.everyone
	case m.denied&own != 0:
		return false
	}
	return m.allowed&(own|implying[operation]) != 0
}

// match is what the ACLs that match a resource say of a client.
type match struct {
	client access.Client
	operations
	found bool // an ACL, whomever it is about
}

// take adds what the ACLs of one pattern say.
func (m *match) take(l *List, p Pattern) {
	if _, has := l.patterns[p]; !has {
		return
	}
	m.found = true
	for _, principal := range [...]access.Principal{m.client.Principal, everybody} {
		for _, host := range [...]string{m.client.Host, Wildcard} {
			granted := l.granted[grantee{p, principal, host}]
			m.allowed |= granted.allowed
			m.denied |= granted.denied
		}
	}
}

// allowsAny reports whether there is a name with which the client may do something (KIP-679). As in
// Kafka, implied operations do not count, and a prefix counts if it is not denied as a whole.
func (l *List) allowsAny(client access.Client, operation access.Operation, of access.ResourceType) bool {
	if l.allows(client, operation, access.Resource{Type: of, Name: unlikely}) {
		return true
	}
	own := uint32(1<<operation | all)
	every := match{client: client}
	every.take(l, Pattern{of, Wildcard, false})
	if every.denied&own != 0 || every.allowed&own != 0 {
		return every.denied&own == 0
	}
	for _, principal := range [...]access.Principal{client.Principal, everybody} {
		for _, g := range l.grants[holder{of, principal}] {
			mine := g.host == Wildcard || g.host == client.Host
			if mine && l.granted[g].allowed&own != 0 && !l.denies(client, own, g.Pattern) {
				return true
			}
		}
	}
	return false
}

// unlikely is the name that stands for any other in Kafka's authorizeByResourceType.
const unlikely = "hardcode"

// denies reports whether there is a denying ACL of the same name, or of a prefix of it.
func (l *List) denies(client access.Client, own uint32, p Pattern) bool {
	m := match{client: client}
	if !p.Prefixed {
		m.take(l, p)
	}
	for _, n := range l.lengths[p.Type] {
		if n > len(p.Name) {
			break
		}
		m.take(l, Pattern{p.Type, p.Name[:n], true})
	}
	return m.denied&own != 0
}
