// Package accesstest has an access.Authorizer for tests of the front doors.
package accesstest

import (
	"slices"
	"sync"

	"firn.dev/access"
)

// Guard is an Authorizer that a test can change while requests run.
type Guard struct {
	mu     sync.Mutex
	allows Rule
	asked  []access.Need
}

var _ access.Authorizer = (*Guard)(nil)

// Rule says whether an operation on a resource is allowed, whichever client asks.
type Rule func(access.Operation, access.Resource) bool

// Everything is allowed.
func Everything(access.Operation, access.Resource) bool { return true }

// Nothing is allowed.
func Nothing(access.Operation, access.Resource) bool { return false }

// NewGuard returns a guard that allows everything.
func NewGuard() *Guard { return &Guard{allows: Everything} }

// Allows implements access.Authorizer, and remembers the question.
func (g *Guard) Allows(_ access.Client, operation access.Operation, on access.Resource) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, operation.On(on.Type))
	return g.allows(operation, on)
}

// Set makes the guard follow another rule from now on, and forget what it was asked.
func (g *Guard) Set(allows Rule) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.allows, g.asked = allows, nil
}

// Asked returns what the guard was asked since the last Set.
func (g *Guard) Asked() []access.Need {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}
