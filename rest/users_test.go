package rest_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
	"firn.dev/rest"
)

// refusedAs says that an answer is a problem of a status, code and field.
func refusedAs(t *testing.T, f *firn, method, path string, body any, status int, code, field string) {
	t.Helper()
	var p problem
	resp := f.call(t, method, path, body, &p)
	if resp.StatusCode != status || p.Code != code || p.Field != field || p.Detail == "" {
		t.Errorf("%s %s %v: %d %+v; want %d %q of %q", method, path, body, resp.StatusCode, p, status, code, field)
	}
}

// A user that is created over HTTP can prove itself, is listed without what proves it, and is gone
// when it is deleted. A password leaves no trace in answers or logs.
func TestUsers(t *testing.T) {
	var log bytes.Buffer
	f := startFirn(t, 1, func(o *rest.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })[0]
	holds := func(user, password string) (by []access.ScramMechanism) {
		for _, m := range access.ScramMechanisms {
			if keys, has := (security.Users{View: f.node.View()}).ScramKeys(user, m); has && keys.Match(m, password) {
				by = append(by, m)
			}
		}
		return by
	}
	const odd = "/v1/users/zo%C3%AB%2Fops" // zoë/ops
	var got user
	if resp := f.call(t, "PUT", odd, object{"password": "hunter22"}, &got); resp.StatusCode != http.StatusOK ||
		got.Name != "zoë/ops" || len(got.Mechanisms) != 2 || got.Mechanisms[0] != (userMechanism{"SCRAM-SHA-512", 4096}) {
		t.Errorf("a new user: %d %+v", resp.StatusCode, got)
	}
	if !slices.Equal(holds("zoë/ops", "hunter22"), access.ScramMechanisms) {
		t.Error("the password is not the user's")
	}
	f.call(t, "PUT", "/v1/users/bob", object{"password": "hunter22"}, nil)
	f.call(t, "PUT", "/v1/users/bob",
		object{"password": "hunter23", "mechanisms": []string{"scram-sha-256"}, "iterations": 8192}, &got)
	if got.Name != "bob" || !slices.Equal(got.Mechanisms, []userMechanism{{"SCRAM-SHA-256", 8192}}) {
		t.Errorf("another password: %+v", got)
	}
	if len(holds("bob", "hunter22")) > 0 || len(holds("bob", "hunter23")) != 1 {
		t.Error("the password before is still good, or the new one is not")
	}

	var list userList
	f.call(t, "GET", "/v1/users?limit=1", nil, &list)
	if list.Total != 2 || list.Next != "bob" || list.Users[0].Name != "bob" {
		t.Errorf("the first of the list: %+v", list)
	}
	list = userList{}
	f.call(t, "GET", "/v1/users?after=bob", nil, &list)
	if list.Next != "" || len(list.Users) != 1 || list.Users[0].Name != "zoë/ops" {
		t.Errorf("the rest of the list: %+v", list)
	}
	got = user{}
	if f.call(t, "GET", odd, nil, &got); got.Name != "zoë/ops" || len(got.Mechanisms) != 2 {
		t.Errorf("described: %+v", got)
	}
	if resp := f.call(t, "DELETE", odd, nil, nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("deleted: %d", resp.StatusCode)
	}
	if len(holds("zoë/ops", "hunter22")) > 0 {
		t.Error("a user that was deleted is still there")
	}
	refusedAs(t, f, "GET", odd, nil, 404, "RESOURCE_NOT_FOUND", "")
	refusedAs(t, f, "DELETE", odd, nil, 404, "RESOURCE_NOT_FOUND", "")
	for _, line := range []string{`action=AlterUserScramCredentials subject=zoë/ops result=done principal=User:ANONYMOUS`,
		`action=AlterUserScramCredentials subject=bob result=done`} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("no line has %s", line)
		}
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Error("a password was logged")
	}
}

func TestUsersThatAreRefused(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	bob := func(more object) object {
		body := object{"password": "hunter22"}
		for k, v := range more {
			body[k] = v
		}
		return body
	}
	for _, c := range []struct {
		path        string
		body        object
		code, field string
	}{
		{"/v1/users/bob", object{}, "UNACCEPTABLE_CREDENTIAL", "password"},
		{"/v1/users/bob", object{"password": strings.Repeat("p", 1025)}, "UNACCEPTABLE_CREDENTIAL", "password"},
		{"/v1/users/bob", object{"password": 4711}, "", "password"},
		{"/v1/users/bob", bob(object{"iterations": 1 << 40}), "UNACCEPTABLE_CREDENTIAL", "iterations"},
		{"/v1/users/bob", bob(object{"iterations": 1}), "UNACCEPTABLE_CREDENTIAL", "iterations"},
		{"/v1/users/bob", bob(object{"mechanisms": []string{"PLAIN"}}), "", "mechanisms"},
		{"/v1/users/bob", bob(object{"salt": "x"}), "", "salt"},
		{"/v1/users/b%0Ab", bob(nil), "UNACCEPTABLE_CREDENTIAL", "user"},
		{"/v1/users/" + strings.Repeat("b", 256), bob(nil), "UNACCEPTABLE_CREDENTIAL", "user"},
	} {
		refusedAs(t, f, "PUT", c.path, c.body, 400, c.code, c.field)
	}
	if names := (security.Users{View: f.node.View()}).Names(); len(names) > 0 {
		t.Errorf("users are %v", names)
	}
	// from another machine, over a connection that the network can read
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "/v1/users/bob", strings.NewReader(`{"password":"hunter22"}`))
	r.Header.Set("Content-Type", typeJSON)
	if status, body := serve(f.Server, r); status != http.StatusForbidden || !bytes.Contains(body, []byte("use https")) {
		t.Errorf("a password in the open: %d %s", status, body)
	}
}

// A user of --users-file is changed there alone: who gets in is not what a client sets.
func TestUsersOfAFile(t *testing.T) {
	file := &people{}
	file.set(t, "bob", "hunter22")
	f := startFirn(t, 1, func(o *rest.Options) { o.FileUsers = file })[0]
	refusedAs(t, f, "PUT", "/v1/users/bob", object{"password": "hunter23"}, 409, "", "user")
	refusedAs(t, f, "DELETE", "/v1/users/bob", nil, 409, "", "user")
	if resp := f.call(t, "PUT", "/v1/users/eve", object{"password": "hunter23"}, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("another: %d", resp.StatusCode)
	}
}

// Users, ACLs and quotas that are refused have a line in the audit log, as topics and groups have.
func TestRefusedSecurityIsAudited(t *testing.T) {
	var log bytes.Buffer
	f := startFirn(t, 1, func(o *rest.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		withACLs(o)
	})[0]
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"PUT", "/v1/users/bob", object{"password": "", "mechanisms": []string{"SCRAM-SHA-512"}}},
		{"DELETE", "/v1/users/bob", nil},
		{"POST", "/v1/acls", object{"acls": []object{}}},
		{"DELETE", "/v1/acls", nil},
		{"PATCH", "/v1/quotas", object{"entity": object{"user": "bob"}, "quotas": object{"speed": 1}}},
		{"DELETE", "/v1/quotas", nil},
	} {
		f.call(t, c.method, c.path, c.body, nil)
		if want := "action=" + c.method + " subject=" + c.path + " result=\""; !strings.Contains(log.String(), want) {
			t.Errorf("no line has %s", want)
		}
	}
	if strings.Contains(log.String(), "result=done") {
		t.Errorf("logged was\n%s", &log)
	}
}

// lateNews is a node that hears of a change only when it catches up.
type lateNews struct {
	rest.Node
	news *[]coordinator.Setting
}

func (n lateNews) CatchUp(ctx context.Context) error {
	if len(*n.news) > 0 {
		if _, err := n.Change(ctx, coordinator.Change{Settings: *n.news}); err != nil {
			return err
		}
		*n.news = nil
	}
	return n.Node.CatchUp(ctx)
}

// What another node has answered for is changed, whether or not this one has heard of it.
func TestSecurityOfAnotherNodeIsChanged(t *testing.T) {
	var news []coordinator.Setting
	f := startFirn(t, 1, func(o *rest.Options) {
		withACLs(o)
		o.Node = lateNews{o.Node, &news}
	})[0]
	keys, err := access.NewScramKeys(access.ScramSHA512, "hunter22", access.DefaultScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	user, err := security.Users{View: f.node.View()}.SetUser("bob", access.ScramSHA512, keys)
	if err != nil {
		t.Fatal(err)
	}
	for path, c := range map[string]struct {
		setting coordinator.Setting
		status  int
	}{
		"/v1/users/bob": {user, http.StatusNoContent},
		"/v1/acls?resource_name=log": {coordinator.Setting{Kind: coordinator.ACLSetting,
			Key: `["Topic","Literal","log","User:alice","*","Read","Allow"]`}, http.StatusOK},
		"/v1/quotas?user=bob": {coordinator.Setting{Kind: coordinator.QuotaSetting,
			Key: `[["user","bob"],"producer_byte_rate"]`, Value: "1"}, http.StatusNoContent},
	} {
		news = []coordinator.Setting{c.setting}
		if resp := f.call(t, "DELETE", path, nil, nil); resp.StatusCode != c.status {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
		if _, is := f.node.View().Setting(c.setting.Kind, c.setting.Key); is {
			t.Errorf("%s: it is still there", path)
		}
	}
}
