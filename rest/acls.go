package rest

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/coordinator"
)

// aclEntry is an ACL, in Kafka's names.
type aclEntry struct {
	ResourceType string `json:"resource_type"`
	ResourceName string `json:"resource_name"`
	PatternType  string `json:"pattern_type"` // empty: Literal
	Principal    string `json:"principal"`
	Host         string `json:"host"` // empty: *
	Operation    string `json:"operation"`
	Permission   string `json:"permission"` // empty: Allow
}

// aclList is ACLs in order, and after which the next list begins.
type aclList struct {
	ACLs  []aclEntry `json:"acls"`
	Total int        `json:"total"`
	Next  string     `json:"next,omitempty"`
}

// aclChange is the ACLs that are to be created, or that were created or deleted.
type aclChange struct {
	ACLs []aclEntry `json:"acls"`
}

// aclParameters select ACLs, as Kafka's filters do.
var aclParameters = []string{"resource_type", "resource_name", "pattern_type", "principal", "host", "operation",
	"permission"}

// aclRoutes are about ACLs, and need what Kafka's APIs for ACLs need.
func (s *Server) aclRoutes() []route {
	const acls = "/v1/acls"
	see := needs(access.Requests, access.Describe.On(access.Cluster))
	change := needs(access.Requests, access.Alter.On(access.Cluster))
	return []route{
		{method: http.MethodGet, pattern: acls, handler: s.counting(s.listACLs), rules: see,
			summary: "ACLs, all or those that are asked for"},
		{method: http.MethodPost, pattern: acls, handler: auditedRefusals(s.counting(s.createACLs)), rules: change,
			summary: "create ACLs"},
		{method: http.MethodDelete, pattern: acls, handler: auditedRefusals(s.counting(s.deleteACLs)), rules: change,
			summary: "delete the ACLs that are asked for"},
	}
}

func entriesOf(bindings []acl.Binding) []aclEntry {
	entries := make([]aclEntry, len(bindings))
	for i, b := range bindings {
		entries[i] = aclEntry{ResourceType: b.Type.String(), ResourceName: b.Name, PatternType: b.PatternType().String(),
			Principal: b.Principal.String(), Host: b.Host, Operation: b.Operation.String(),
			Permission: b.Permission().String()}
	}
	return entries
}

// selectedACLs are those that a request's parameters ask for.
func (s *Server) selectedACLs(q *query) ([]acl.Binding, error) {
	exactly := func(name string) *string {
		if !q.values.Has(name) {
			return nil
		}
		return new(q.values.Get(name))
	}
	filter := acl.Filter{Name: exactly("resource_name"), Principal: exactly("principal"), Host: exactly("host"),
		Type:        selected(q, "resource_type", access.ParseResourceType, access.Topic, access.User),
		PatternType: selected(q, "pattern_type", acl.ParsePatternType, acl.MatchingPattern, acl.PrefixedPattern),
		Operation:   selected(q, "operation", access.ParseOperation, access.All, access.TwoPhaseCommit),
		Permission:  selected(q, "permission", acl.ParsePermission, acl.Deny, acl.Allow)}
	if q.err != nil {
		return nil, q.err
	}
	return s.security.ACLs(filter)
}

// kafkaName is what Kafka has a number and a name for.
type kafkaName interface {
	~int8
	fmt.Stringer
}

// selected is a parameter that selects by a name of Kafka's, any without one.
func selected[T kafkaName](q *query, parameter string, parse func(string) T, first, last T) T {
	given := q.text(parameter, "any")
	if strings.EqualFold(given, "any") {
		return acl.Any
	}
	v, err := parsed(parameter, given, parse, first, last)
	if err != nil {
		q.fail(err)
	}
	return v
}

// parsed is what a name of Kafka's stands for, which is something from first to last.
func parsed[T kafkaName](field, given string, parse func(string) T, first, last T) (T, error) {
	v := parse(given)
	if v >= first && v <= last {
		return v, nil
	}
	var names []string
	for known := first; known <= last; known++ {
		names = append(names, known.String())
	}
	return 0, invalid(field, "is %q; it has to be one of: %s", given, strings.Join(names, ", "))
}

// listACLs lists ACLs.
func (s *Server) listACLs(w http.ResponseWriter, r *http.Request, memory *share) error {
	q := queryOf(r, append([]string{"after", "limit"}, aclParameters...)...)
	limit, after := int(q.number("limit", maxListed, 1, maxListed)), q.text("after", "")
	if err := memory.grow(r.Context(), s.aclBytes()); err != nil {
		return err
	}
	selected, err := s.selectedACLs(q)
	if err != nil {
		return err
	}
	list := aclList{Total: len(selected)}
	selected = slices.DeleteFunc(selected, func(b acl.Binding) bool { return b.Key() <= after })
	if len(selected) > limit {
		selected = selected[:limit]
		list.Next = selected[limit-1].Key()
	}
	list.ACLs = entriesOf(selected)
	answer(w, http.StatusOK, typeJSON, list)
	return nil
}

// aclBytes is what selecting of all ACLs takes.
func (s *Server) aclBytes() int64 {
	return int64(s.view().SettingsCount(coordinator.ACLSetting)) * listedACLBytes
}

// createACLs creates ACLs, all of them or none.
func (s *Server) createACLs(w http.ResponseWriter, r *http.Request, memory *share) error {
	if err := s.security.CheckACLs(); err != nil {
		return err
	}
	var asked aclChange
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	if n := len(asked.ACLs); n == 0 || n > coordinator.MaxSettings {
		return invalid("acls", "has %d ACLs; a request creates 1 to %d", n, coordinator.MaxSettings)
	}
	bindings := make([]acl.Binding, len(asked.ACLs))
	for i := range asked.ACLs {
		var err error
		if bindings[i], err = s.binding(&asked.ACLs[i]); err != nil {
			p := s.problemOf(err)
			p.Field = strings.TrimSuffix(fmt.Sprintf("acls[%d].%s", i, p.Field), ".")
			return &p
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if err := cmp.Or(s.security.CreateACLs(ctx, askerOf(r), bindings)...); err != nil {
		return err
	}
	answer(w, http.StatusCreated, typeJSON, aclChange{entriesOf(bindings)})
	return nil
}

// binding is the ACL that an entry asks for.
func (s *Server) binding(e *aclEntry) (acl.Binding, error) {
	spec := acl.Spec{Name: e.ResourceName, Principal: e.Principal, Host: cmp.Or(e.Host, acl.Wildcard),
		PatternType: acl.LiteralPattern, Permission: acl.Allow}
	var err, errPattern, errOperation, errPermission error
	spec.Type, err = parsed("resource_type", e.ResourceType, access.ParseResourceType, access.Topic, access.User)
	spec.Operation, errOperation = parsed("operation", e.Operation, access.ParseOperation, access.All,
		access.TwoPhaseCommit)
	if e.PatternType != "" {
		spec.PatternType, errPattern = parsed("pattern_type", e.PatternType, acl.ParsePatternType, acl.LiteralPattern,
			acl.PrefixedPattern)
	}
	if e.Permission != "" {
		spec.Permission, errPermission = parsed("permission", e.Permission, acl.ParsePermission, acl.Deny, acl.Allow)
	}
	if err := cmp.Or(err, errPattern, errOperation, errPermission); err != nil {
		return acl.Binding{}, err
	}
	return s.security.ACL(spec)
}

// deleteACLs deletes ACLs. All of them go only if that is asked for.
func (s *Server) deleteACLs(w http.ResponseWriter, r *http.Request, memory *share) error {
	q := queryOf(r, aclParameters...)
	if q.err == nil && len(q.values) == 0 {
		return &problem{Status: http.StatusBadRequest, Field: "resource_type",
			Detail: "say which ACLs are to go, by one parameter at least; resource_type=any stands for all"}
	}
	if err := s.catchUp(r.Context()); err != nil {
		return err
	}
	if err := memory.grow(r.Context(), s.aclBytes()); err != nil {
		return err
	}
	selected, err := s.selectedACLs(q)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	if err := cmp.Or(s.security.DeleteACLs(ctx, askerOf(r), selected)...); err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, aclChange{entriesOf(selected)})
	return nil
}
