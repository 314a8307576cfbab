package rest_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"firn.dev/access"
	"firn.dev/access/acl"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/rest"
)

// withACLs has a node decide by its ACLs, under which clients that have not logged in may do
// everything.
func withACLs(o *rest.Options) {
	o.Authorizer = security.NewACLs(o.Node.View(), acl.Rules{SuperUsers: []access.Principal{access.Anonymous}}, o.Logger)
}

func namesOf(acls []aclEntry) string {
	names := make([]string, len(acls))
	for i, a := range acls {
		names[i] = a.ResourceName
	}
	return strings.Join(names, " ")
}

func TestACLs(t *testing.T) {
	var log bytes.Buffer
	f := startFirn(t, 1, func(o *rest.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		withACLs(o)
	})[0]
	read := func(name, pattern string) object {
		return object{"resource_type": "topic", "resource_name": name, "pattern_type": pattern, "principal": "User:alice",
			"operation": "READ"}
	}
	var created aclChange
	resp := f.call(t, "POST", "/v1/acls", object{"acls": []object{read("log", ""), read("lo", "PREFIXED"), read("*", ""),
		{"resource_type": "Group", "resource_name": "other", "principal": "User:bob", "host": "10.0.0.7",
			"operation": "All", "permission": "Deny"}}}, &created)
	want := []aclEntry{{"Topic", "log", "Literal", "User:alice", "*", "Read", "Allow"},
		{"Topic", "lo", "Prefixed", "User:alice", "*", "Read", "Allow"},
		{"Topic", "*", "Literal", "User:alice", "*", "Read", "Allow"},
		{"Group", "other", "Literal", "User:bob", "10.0.0.7", "All", "Deny"}}
	if resp.StatusCode != http.StatusCreated || !slices.Equal(created.ACLs, want) {
		t.Errorf("created: %d %+v", resp.StatusCode, created)
	}
	alice := access.Client{Principal: access.Principal{Type: "User", Name: "alice"}, Host: "10.0.0.1"}
	on := access.Resource{Type: access.Topic, Name: "log"}
	if !f.opts.Authorizer.Allows(alice, access.Read, on) || f.opts.Authorizer.Allows(alice, access.Write, on) {
		t.Error("the ACLs do not hold")
	}

	for filter, want := range map[string]string{
		"":                                      "other * log lo",
		"?resource_type=any":                    "other * log lo",
		"?resource_name=log&pattern_type=match": "* log lo",
		"?resource_name=loose&pattern_type=MATCH": "* lo",
		"?resource_name=lo":                       "lo",
		"?resource_name=lo&pattern_type=literal":  "",
		"?pattern_type=prefixed":                  "lo",
		"?principal=User:bob":                     "other",
		"?permission=deny":                        "other",
		"?operation=read&host=*":                  "* log lo",
		"?host=10.0.0.7&resource_type=topic":      "",
	} {
		var list aclList
		f.call(t, "GET", "/v1/acls"+filter, nil, &list)
		if got := namesOf(list.ACLs); got != want || list.Total != len(list.ACLs) || list.Next != "" {
			t.Errorf("%q selects %q of %d, want %q", filter, got, list.Total, want)
		}
	}
	var all []aclEntry
	for next := ""; len(all) < 5; {
		list := aclList{}
		f.call(t, "GET", "/v1/acls?limit=1&after="+escaped(next), nil, &list)
		all = append(all, list.ACLs...)
		if next = list.Next; next == "" {
			break
		}
	}
	if namesOf(all) != "other * log lo" {
		t.Errorf("one after the other there are %q", namesOf(all))
	}

	var deleted aclChange
	f.call(t, "DELETE", "/v1/acls?resource_name=log&pattern_type=match&resource_type=topic", nil, &deleted)
	if namesOf(deleted.ACLs) != "* log lo" || f.opts.Authorizer.Allows(alice, access.Read, on) {
		t.Errorf("deleted: %+v", deleted)
	}
	deleted = aclChange{}
	f.call(t, "DELETE", "/v1/acls?principal=User:nobody", nil, &deleted)
	refusedAs(t, f, "DELETE", "/v1/acls", nil, 400, "", "resource_type")
	var left aclList
	if f.call(t, "GET", "/v1/acls", nil, &left); len(deleted.ACLs) > 0 || namesOf(left.ACLs) != "other" {
		t.Errorf("left: %+v", left)
	}
	for _, want := range []string{
		`action=CreateAcls subject="[\"Topic\",\"Literal\",\"log\",\"User:alice\",\"*\",\"Read\",\"Allow\"]" result=done`,
		`action=DeleteAcls subject="[\"Topic\",\"Prefixed\",\"lo\",\"User:alice\",\"*\",\"Read\",\"Allow\"]" result=done`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no line has %s", want)
		}
	}
}

func TestACLsThatAreRefused(t *testing.T) {
	f := startFirn(t, 1, withACLs)[0]
	good := object{"resource_type": "Topic", "resource_name": "log", "principal": "User:alice", "operation": "Read"}
	for spoilt, value := range map[string]string{
		"resource_type": "Lake", "pattern_type": "Match", "operation": "Any", "permission": "Any", "": "",
	} {
		bad := object{}
		for k, v := range good {
			bad[k] = v
		}
		field, code := "acls[1]."+spoilt, ""
		if spoilt == "" {
			bad["principal"], field, code = "alice", "acls[1]", "INVALID_REQUEST"
		} else {
			bad[spoilt] = value
		}
		refusedAs(t, f, "POST", "/v1/acls", object{"acls": []object{good, bad}}, 400, code, field)
	}
	many := make([]object, coordinator.MaxSettings+1)
	for i := range many {
		many[i] = object{"resource_type": "Topic", "resource_name": fmt.Sprint(i), "principal": "User:a", "operation": "Read"}
	}
	refusedAs(t, f, "POST", "/v1/acls", object{"acls": many}, 400, "", "acls")
	refusedAs(t, f, "POST", "/v1/acls", object{}, 400, "", "acls")
	refusedAs(t, f, "GET", "/v1/acls?operation=burn", nil, 400, "", "operation")
	refusedAs(t, f, "DELETE", "/v1/acls?permission=", nil, 400, "", "permission")
	refusedAs(t, f, "GET", "/v1/acls?resource=log", nil, 400, "", "resource")
	var list aclList
	if f.call(t, "GET", "/v1/acls", nil, &list); list.Total != 0 {
		t.Errorf("there are %+v", list)
	}
}

// Without an authorizer there are no ACLs, as over Kafka's protocol.
func TestACLsWithoutAnAuthorizer(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	for _, c := range []struct{ method, path string }{
		{"GET", "/v1/acls"}, {"POST", "/v1/acls"}, {"DELETE", "/v1/acls?resource_type=any"},
	} {
		refusedAs(t, f, c.method, c.path, object{}, 400, "SECURITY_DISABLED", "")
	}
}
