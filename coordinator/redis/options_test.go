package redis_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"firn.dev/coordinator/redis"
)

func TestParseURL(t *testing.T) {
	for url, want := range map[string]redis.Options{
		"redis://":                              {Addrs: []string{"127.0.0.1:6379"}},
		"redis://h":                             {Addrs: []string{"h:6379"}},
		"redis://[::1]":                         {Addrs: []string{"[::1]:6379"}},
		"redis://[::1]:7":                       {Addrs: []string{"[::1]:7"}},
		"redis://:p@h1:1,h2,h3:3/?cluster=true": {Addrs: []string{"h1:1", "h2:6379", "h3:3"}, Password: "p", Cluster: true},
		"redis://u:p%40ss@h:7/3?prefix=a&pool=5": {
			Addrs: []string{"h:7"}, Username: "u", Password: "p@ss", DB: 3, Prefix: "a", PoolSize: 5,
		},
		"redis://u:p@/1?sentinel=s1,s2:7&master=m": {
			Addrs: []string{"s1:26379", "s2:7"}, Master: "m", Username: "u", Password: "p", DB: 1,
		},
		"redis://?sentinel=s&master=m&sentinel-user=a&sentinel-password=b": {
			Addrs: []string{"s:26379"}, Master: "m", SentinelUsername: "a", SentinelPassword: "b",
		},
	} {
		got, err := redis.ParseURL(url)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(redis.Options{}, "TLS")); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", url, err, diff)
		}
		if got.TLS != nil {
			t.Errorf("%s: encrypted", url)
		}
	}
	if o, err := redis.ParseURL("rediss://h?server-name=n"); err != nil || o.TLS == nil || o.TLS.ServerName != "n" {
		t.Errorf("rediss: %+v, %v", o, err)
	}
	for url, problem := range map[string]string{
		"http://h":                                       "scheme",
		"h:6379":                                         "scheme",
		"redis://u:secret@h:7/x":                         "database",
		"redis://u:secret%zz@h":                          "URL",
		"redis://h1,h2":                                  "several addresses",
		"redis://h/2?cluster=true":                       "database 0",
		"redis://h?cluster=maybe":                        "cluster=",
		"redis://h?sentinel=s&master=m":                  "no address",
		"redis://?sentinel=s":                            "go together",
		"redis://?sentinel=s&master=m&cluster=true":      "not both",
		"redis://h?prefix={x}":                           "brace",
		"redis://h?ca=/x":                                "rediss://",
		"rediss://h?ca=/there/is/no/such/file":           "ca:",
		"redis://u:p@secret#w@h":                         "%23",
		"redis://u:secret/w@h":                           "%2F",
		"redis://u:secret?w@h":                           "%3F",
		"redis://u:secret#":                              "%23",
		"redis://u:secret@h:secret":                      "%3A",
		"redis://u:secret@h?pool=0&colour=red&cluster=7": "unknown option \"colour\"",
	} {
		_, err := redis.ParseURL(url)
		if err == nil || !strings.Contains(err.Error(), problem) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
