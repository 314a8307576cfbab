// Package quota says how much each client may use, by Kafka's quotas (KIP-13, KIP-124, KIP-546,
// KIP-599, KIP-612), and counts what they use. A node counts for itself, as in Kafka: a client that
// speaks to three nodes may use its quota on each.
package quota

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"firn.dev/access"
)

// Name is one part of an entity: nothing, the default of its type, or one name.
type Name struct {
	text string
	set  setting
}

type setting byte

const (
	unset setting = iota
	byDefault
	named
)

// Default is what stands for every name that has no quota of its own.
var Default = Name{set: byDefault}

// Named is one name.
func Named(text string) Name { return Name{text, named} }

// Set reports whether the entity has this part.
func (n Name) Set() bool { return n.set != unset }

// Text is the name, nil for Default.
func (n Name) Text() *string {
	if n.set != named {
		return nil
	}
	return &n.text
}

// NameOf is Named, or Default for nil: how Kafka's requests have it.
func NameOf(text *string) Name {
	if text == nil {
		return Default
	}
	return Named(*text)
}

// Entity is whom a quota is for: a user, a client id, a user with a client id, or an address.
type Entity struct{ User, ClientID, IP Name }

// The types of an entity's parts, in the order in which keys have them.
const (
	clientIDType = "client-id"
	ipType       = "ip"
	userType     = "user"
)

// Types are the types of an entity's parts, ascending.
var Types = []string{clientIDType, ipType, userType}

// Part is the part of a type; nil for a type that Kafka does not have.
func (e *Entity) Part(kind string) *Name {
	switch kind {
	case clientIDType:
		return &e.ClientID
	case ipType:
		return &e.IP
	case userType:
		return &e.User
	}
	return nil
}

// maxNameBytes bounds a name, so that what lies in the bucket is bounded.
const maxNameBytes = 255

// Valid refuses what is no entity.
func (e Entity) Valid() error {
	switch {
	case e == Entity{}:
		return fmt.Errorf("an entity without a user, a client id or an ip")
	case e.IP.Set() && (e.User.Set() || e.ClientID.Set()):
		return fmt.Errorf("an entity is a user with a client id, either of the two, or an ip alone")
	}
	for _, kind := range Types {
		n := *e.Part(kind)
		if n.set == named && (n.text == "" || len(n.text) > maxNameBytes) {
			return fmt.Errorf("a %s has 1 to %d bytes, not %d", kind, maxNameBytes, len(n.text))
		}
		if !utf8.ValidString(n.text) { // it would be kept as another
			return fmt.Errorf("a %s is UTF-8, unlike %q", kind, n.text)
		}
	}
	if e.IP.set == named {
		if _, err := netip.ParseAddr(e.IP.text); err != nil {
			return fmt.Errorf("%q is no ip address", e.IP.text)
		}
	}
	return nil
}

// Canonical writes an address as clients' addresses are written.
func (e Entity) Canonical() Entity {
	if address, err := netip.ParseAddr(e.IP.text); err == nil {
		e.IP.text = address.Unmap().String()
	}
	return e
}

func (e Entity) String() string {
	var parts []string
	for _, kind := range []string{userType, clientIDType, ipType} {
		switch n := *e.Part(kind); n.set {
		case named:
			parts = append(parts, kind+" "+n.text)
		case byDefault:
			parts = append(parts, kind+" (default)")
		}
	}
	return strings.Join(parts, ", ")
}

// Compare orders entities.
func (e Entity) Compare(other Entity) int {
	by := func(a, b Name) int { return cmp.Or(cmp.Compare(a.set, b.set), strings.Compare(a.text, b.text)) }
	return cmp.Or(by(e.User, other.User), by(e.ClientID, other.ClientID), by(e.IP, other.IP))
}

// Limit is one quota of an entity.
type Limit struct {
	Entity
	Of    access.Quota
	Value float64 // by Kafka's name for it: bytes, mutations or connections a second; percent of a core
}

// Valid refuses a limit that the entity cannot have. The message is for the client that asked.
func (l Limit) Valid() error {
	if err := l.Entity.Valid(); err != nil {
		return err
	}
	switch k, known := kinds[l.Of]; {
	case !known || k.ofIP != l.IP.Set():
		return fmt.Errorf("%s has no quota %s", l.Entity, l.Of)
	case math.IsNaN(l.Value) || math.IsInf(l.Value, 0) || l.Value <= 0:
		return fmt.Errorf("quota %s must be greater than 0; remove it to have none", l.Of)
	case k.whole && math.Abs(l.Value-math.Round(l.Value)) > 1e-6:
		return fmt.Errorf("quota %s must be a whole number", l.Of)
	}
	return nil
}

// Key is the limit without its value, as it is kept: FORMAT.md of coordinator/security.
func (l Limit) Key() string {
	e := l.Canonical()
	var key []any
	for _, kind := range Types {
		if n := *e.Part(kind); n.Set() {
			key = append(key, []*string{&kind, n.Text()})
		}
	}
	text, err := json.Marshal(append(key, l.Of.String()))
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(text)
}

// ParseKey reads what Key writes.
func ParseKey(key string) (l Limit, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(key), &parts); err != nil || len(parts) < 2 {
		return l, fmt.Errorf("no quota: %q", key)
	}
	var name string
	if err := json.Unmarshal(parts[len(parts)-1], &name); err != nil {
		return l, fmt.Errorf("no quota: %q", key)
	}
	for _, text := range parts[:len(parts)-1] {
		var part []*string
		if json.Unmarshal(text, &part) != nil || len(part) != 2 || part[0] == nil || l.Part(*part[0]) == nil {
			return l, fmt.Errorf("quota %q is of an entity that is not known", key)
		}
		*l.Part(*part[0]) = NameOf(part[1])
	}
	l.Of, l.Value = access.ParseQuota(name), 1
	return l, l.Valid()
}

// Table is a set of limits. It does not change.
type Table struct {
	limits map[limitKey]float64
	has    [access.Connections + 1]bool // limits of this kind
}

type limitKey struct {
	Entity
	of access.Quota
}

// NewTable makes a table of limits that are Valid.
func NewTable(limits []Limit) *Table {
	t := &Table{limits: make(map[limitKey]float64, len(limits))}
	for _, l := range limits {
		t.limits[limitKey{l.Canonical(), l.Of}] = l.Value
		t.has[l.Of] = true
	}
	return t
}

// Client is who uses something.
type Client struct {
	User     string
	ClientID string // as it calls itself; over HTTP it is empty
}

// of finds the limit of a client, and with whom the client shares it: the first that is set of
// Kafka's eight levels. Those of a user are shared by the user's clients, and those of a client id
// by all users.
func (t *Table) of(c Client, q access.Quota) (shared Entity, limit float64, limited bool) {
	if t == nil || !t.has[q] {
		return Entity{}, 0, false
	}
	user, client := Named(c.User), Named(c.ClientID)
	for _, level := range [...]Entity{
		{User: user, ClientID: client},
		{User: user, ClientID: Default},
		{User: user},
		{User: Default, ClientID: client},
		{User: Default, ClientID: Default},
		{User: Default},
		{ClientID: client},
		{ClientID: Default},
	} {
		if limit, limited = t.limits[limitKey{level, q}]; limited {
			if level.User.Set() {
				shared.User = user
			}
			if level.ClientID.Set() {
				shared.ClientID = client
			}
			return shared, limit, true
		}
	}
	return Entity{}, 0, false
}

// ofAddress finds the limit of an address.
func (t *Table) ofAddress(ip string) (shared Entity, limit float64, limited bool) {
	if t == nil || !t.has[access.Connections] {
		return Entity{}, 0, false
	}
	for _, n := range [...]Name{Named(ip), Default} {
		if limit, limited = t.limits[limitKey{Entity{IP: n}, access.Connections}]; limited {
			return Entity{IP: Named(ip)}, limit, true
		}
	}
	return Entity{}, 0, false
}

// Names are those of all quotas that an entity may have, in order.
func Names(e Entity) (names []string) {
	for of, k := range kinds {
		if k.ofIP == e.IP.Set() {
			names = append(names, of.String())
		}
	}
	slices.Sort(names)
	return names
}
