package minio

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		url  string
		want Options
	}{
		{"minio://host:9000/bucket", Options{Endpoint: "host:9000", Secure: true, Bucket: "bucket"}},
		{"minio://host/bucket/a/b/?secure=false&region=r",
			Options{Endpoint: "host", Bucket: "bucket", Prefix: "a/b/", Region: "r"}},
		{"minio://key:se%2Fcret@host/bucket", Options{Endpoint: "host", Secure: true, Bucket: "bucket", AccessKey: "key",
			SecretKey: "se/cret"}},
		{"minio://host/b?sse=aws:kms&sse-key=k&storage-class=REDUCED_REDUNDANCY", Options{
			Endpoint: "host", Secure: true, Bucket: "b", SSE: "aws:kms", SSEKey: "k", StorageClass: "REDUCED_REDUNDANCY",
		}},
	} {
		got, err := ParseURL(test.url)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", test.url, err, diff)
		}
	}
	for url, want := range map[string]string{
		"minio://host":                        "minio://HOST:PORT/BUCKET",
		"minio:///bucket":                     "minio://HOST:PORT/BUCKET",
		"minio://host/bucket/a b":             "letters, digits",
		"minio://host/bucket?secure=hush":     "secure is true or false",
		"minio://key:@host/bucket":            "KEY:SECRET@",
		"minio://:hush@host/bucket":           "KEY:SECRET@",
		"minio://host/bucket?sse=aws:kms":     "sse-key goes with sse=aws:kms",
		"minio://host/bucket?colour=red&sse=": `unknown parameter "colour"; there are secure, region`,
	} {
		_, err := ParseURL(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error holds the secret", url)
		}
	}
}
