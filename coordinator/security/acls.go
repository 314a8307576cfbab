// Package security reads what the settings of a View say: which users there are, what they may do,
// and what each may use. FORMAT.md says how that lies in the bucket.
package security

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/coordinator"
)

// ACLs decides by the ACLs that the view shows when it is asked: a change holds for the next
// request of every connection to the node.
type ACLs struct {
	view   *coordinator.View
	rules  acl.Rules
	logger *slog.Logger

	mu      sync.Mutex // held while current is replaced
	current atomic.Pointer[acls]
}

var _ access.Authorizer = (*ACLs)(nil)

// acls are those of one version of the settings.
type acls struct {
	version  uint64
	bindings []acl.Binding // ordered by key
	list     *acl.List
}

// NewACLs returns the authorizer of a view. The logger hears of ACLs that cannot be understood.
func NewACLs(view *coordinator.View, rules acl.Rules, logger *slog.Logger) *ACLs {
	return &ACLs{view: view, rules: rules, logger: logger}
}

// Allows implements access.Authorizer.
func (a *ACLs) Allows(client access.Client, operation access.Operation, on access.Resource) bool {
	return a.now().list.Allows(client, operation, on)
}

// Bindings are all ACLs. They are not to be changed.
func (a *ACLs) Bindings() []acl.Binding { return a.now().bindings }

func (a *ACLs) now() *acls {
	if now := a.current.Load(); now != nil && now.version == a.view.SettingsVersion() {
		return now
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.current.Load(); now != nil && now.version == a.view.SettingsVersion() {
		return now // another request was first
	}
	now := a.read()
	a.current.Store(now)
	return now
}

// read reads the ACLs. If there is one that it does not understand, only super users may do
// anything: it might be one that denies.
func (a *ACLs) read() *acls {
	settings, version := a.view.Settings(coordinator.ACLSetting)
	now, rules := &acls{version: version}, a.rules
	for key := range settings {
		binding, err := acl.ParseKey(key)
		if err != nil {
			a.logger.Error("an ACL in the bucket cannot be understood: only super users may do anything; "+
				"is this firn older than the one that wrote it?", "acl", key, "error", err)
			rules.AllowEveryoneIfNoACL, now.bindings = false, nil
			break
		}
		now.bindings = append(now.bindings, binding)
	}
	slices.SortFunc(now.bindings, acl.Compare)
	now.list = acl.NewList(rules, now.bindings)
	return now
}
