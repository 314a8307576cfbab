package security_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"firn.dev/access"
	"firn.dev/access/quota"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// Quotas in the bucket stay readable: these are the keys and values of FORMAT.md. One that is not
// understood limits nobody, and is told.
func TestQuotaFormat(t *testing.T) {
	set := func(key, value string) coordinator.Setting {
		return coordinator.Setting{Kind: coordinator.QuotaSetting, Key: key, Value: value}
	}
	var log strings.Builder
	q := security.NewQuotas(viewOf(t,
		set(`[["client-id","app"],["user","alice"],"producer_byte_rate"]`, "1048576"),
		set(`[["user",null],"request_percentage"]`, "12.5"),
		set(`[["ip","10.0.0.7"],"connection_creation_rate"]`, "5"),
		set(`[["user","bob"],"speed"]`, "1"),
		set(`[["user","bob"],"producer_byte_rate"]`, `"fast"`),
		set(`[["user","bob"],"consumer_byte_rate"]`, "-1"),
	), slog.New(slog.NewTextHandler(&log, nil)))
	want := []quota.Limit{
		{Entity: quota.Entity{IP: quota.Named("10.0.0.7")}, Of: access.Connections, Value: 5},
		{Entity: quota.Entity{User: quota.Default}, Of: access.Requests, Value: 12.5},
		{Entity: quota.Entity{User: quota.Named("alice"), ClientID: quota.Named("app")}, Of: access.ProducedBytes,
			Value: 1 << 20},
	}
	if got := q.All(); !slices.Equal(got, want) {
		t.Errorf("quotas are %+v", got)
	}
	if n := strings.Count(log.String(), "cannot be understood"); n != 3 {
		t.Errorf("%d quotas were told that cannot be understood: %s", n, log.String())
	}
	changes, err := q.Set(want)
	if err != nil || changes[2] != set(`[["client-id","app"],["user","alice"],"producer_byte_rate"]`, "1048576") ||
		changes[1].Value != "12.5" {
		t.Errorf("they are set by %+v, %v", changes, err)
	}
	if removed := q.Remove(want[:1]); !removed[0].Deleted || removed[0].Key != changes[0].Key {
		t.Errorf("the first is removed by %+v", removed)
	}
}
