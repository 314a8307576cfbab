package rest_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"firn.dev/access"
	"firn.dev/access/quota"
	"firn.dev/rest"
)

func escaped(text string) string { return url.QueryEscape(text) }

// listed are the quotas of a list, as one line of JSON.
func (f *firn) listed(t *testing.T, parameters string) string {
	t.Helper()
	var list quotaList
	f.call(t, "GET", "/v1/quotas"+parameters, nil, &list)
	text, err := json.Marshal(list.Quotas)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestQuotas(t *testing.T) {
	var log bytes.Buffer
	f := startFirn(t, 1, func(o *rest.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })[0]
	set := func(entity, quotas object) (now entityQuotas) {
		t.Helper()
		resp := f.call(t, "PATCH", "/v1/quotas", object{"entity": entity, "quotas": quotas}, &now)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%v %v: %d", entity, quotas, resp.StatusCode)
		}
		return now
	}
	set(object{"user": "alice"}, object{"producer_byte_rate": 1 << 20, "request_percentage": 12.5})
	set(object{"user": "alice", "client_id": "app"}, object{"consumer_byte_rate": 1000})
	set(object{"user": nil}, object{"consumer_byte_rate": 2000})
	set(object{"ip": "::ffff:10.0.0.7"}, object{"connection_creation_rate": 5})
	if rate, limited := f.opts.Quotas.Rate(access.ProducedBytes, quota.Client{User: "alice"}); !limited || rate != 1<<20 {
		t.Errorf("alice may write %v, %v", rate, limited)
	}
	const (
		ip      = `{"entity":{"ip":"10.0.0.7"},"quotas":{"connection_creation_rate":5}}`
		others  = `{"entity":{"user":null},"quotas":{"consumer_byte_rate":2000}}`
		alice   = `{"entity":{"user":"alice"},"quotas":{"producer_byte_rate":1048576,"request_percentage":12.5}}`
		herApp  = `{"entity":{"client_id":"app","user":"alice"},"quotas":{"consumer_byte_rate":1000}}`
		nothing = `[]`
	)
	for parameters, want := range map[string]string{
		"":                          "[" + strings.Join([]string{ip, others, alice, herApp}, ",") + "]",
		"?user=alice":               "[" + alice + "]",
		"?user=alice&client_id=app": "[" + herApp + "]",
		"?client_id=app":            nothing,
		"?user_default=true":        "[" + others + "]",
		"?ip=10.0.0.7":              "[" + ip + "]",
		"?limit=1&after=" + escaped(`{"ip":"10.0.0.7"}`): "[" + others + "]",
	} {
		if got := f.listed(t, parameters); got != want {
			t.Errorf("%q lists\n%s, want\n%s", parameters, got, want)
		}
	}
	var list quotaList
	if f.call(t, "GET", "/v1/quotas?limit=3", nil, &list); list.Total != 4 || list.Next != `{"user":"alice"}` {
		t.Errorf("the first of the list: %+v", list)
	}

	now := set(object{"user": "alice"},
		object{"producer_byte_rate": nil, "consumer_byte_rate": nil, "request_percentage": 50})
	if len(now.Quotas) != 1 || now.Quotas["request_percentage"] != 50 {
		t.Errorf("alice has %+v", now)
	}
	if resp := f.call(t, "DELETE", "/v1/quotas?user=alice", nil, nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("deleted: %d", resp.StatusCode)
	}
	if got := f.listed(t, ""); got != "["+strings.Join([]string{ip, others, herApp}, ",")+"]" {
		t.Errorf("left are %s", got)
	}
	for _, want := range []string{
		`action=AlterClientQuotas subject="user alice: producer_byte_rate=1.048576e+06" result=done`,
		`action=AlterClientQuotas subject="user alice: request_percentage removed" result=done`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no line has %s", want)
		}
	}
}

func TestQuotasThatAreRefused(t *testing.T) {
	f := startFirn(t, 1, nil)[0]
	alice, rate := object{"user": "alice"}, object{"producer_byte_rate": 1}
	for _, c := range []struct {
		entity, quotas object
		code, field    string
	}{
		{object{}, rate, "INVALID_REQUEST", ""},
		{object{"host": "a"}, rate, "", "entity.host"},
		{object{"user": "alice", "ip": "10.0.0.7"}, rate, "INVALID_REQUEST", ""},
		{object{"ip": "localhost"}, object{"connection_creation_rate": 1}, "INVALID_REQUEST", ""},
		{object{"user": strings.Repeat("a", 256)}, rate, "INVALID_REQUEST", ""},
		{alice, object{}, "", "quotas"},
		{alice, object{"speed": 1}, "INVALID_REQUEST", ""},
		{alice, object{"connection_creation_rate": 1}, "INVALID_REQUEST", ""},
		{alice, object{"producer_byte_rate": -1}, "INVALID_REQUEST", ""},
		{alice, object{"producer_byte_rate": 1.5}, "INVALID_REQUEST", ""},
		{alice, object{"producer_byte_rate": "1"}, "", "quotas"},
	} {
		refusedAs(t, f, "PATCH", "/v1/quotas", object{"entity": c.entity, "quotas": c.quotas}, 400, c.code, c.field)
	}
	refusedAs(t, f, "DELETE", "/v1/quotas", nil, 400, "", "user")
	refusedAs(t, f, "DELETE", "/v1/quotas?user=alice", nil, 404, "RESOURCE_NOT_FOUND", "")
	refusedAs(t, f, "GET", "/v1/quotas?user=a&user_default=true", nil, 400, "", "user_default")
	refusedAs(t, f, "GET", "/v1/quotas?user=a&ip=10.0.0.7", nil, 400, "INVALID_REQUEST", "")
	refusedAs(t, f, "GET", "/v1/quotas?after=x", nil, 400, "", "after")
	if got := f.listed(t, ""); got != "[]" {
		t.Errorf("there are %s", got)
	}
}
