package s3

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
		{"s3://bucket", Options{Bucket: "bucket"}},
		{"s3://bucket/a/b/?region=eu-west-1", Options{Bucket: "bucket", Prefix: "a/b/", Region: "eu-west-1"}},
		{"s3://b?endpoint=http://127.0.0.1:9000", Options{Bucket: "b", Endpoint: "http://127.0.0.1:9000", PathStyle: true}},
		{"s3://b?endpoint=https://e&path-style=false", Options{Bucket: "b", Endpoint: "https://e"}},
		{"s3://b?sse=aws:kms&sse-key=arn:aws:kms:k&storage-class=STANDARD_IA&checksum=none", Options{
			Bucket: "b", SSE: "aws:kms", SSEKey: "arn:aws:kms:k", StorageClass: "STANDARD_IA", NoChecksum: true,
		}},
		{"s3://logs--euw1-az1--x-s3", Options{Bucket: "logs--euw1-az1--x-s3", Directory: true}},
		{"s3://logs--euw1-az1--x-s3?directory-bucket=false", Options{Bucket: "logs--euw1-az1--x-s3"}},
	} {
		got, err := ParseURL(test.url)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", test.url, err, diff)
		}
	}
	for url, want := range map[string]string{
		"s3://":                               "s3://BUCKET",
		"s3:///prefix":                        "s3://BUCKET",
		"s3://b/a b":                          "letters, digits",
		"s3://key:hush@b":                     "AWS_ACCESS_KEY_ID",
		"s3://b?colour=red":                   `unknown parameter "colour"; there are region, endpoint`,
		"s3://b?path-style=perhaps":           "path-style is true or false",
		"s3://b?sse=rot13":                    "sse is one of AES256",
		"s3://b?storage-class=SHELF":          "storage-class is one of STANDARD",
		"s3://b?sse-key=k":                    "sse=aws:kms",
		"s3://b?endpoint=127.0.0.1:9000":      "endpoint is a URL",
		"s3://b?endpoint=http://k:hush@e":     "endpoint is a URL",
		"s3://b?checksum=md5&path-style=hush": "checksum is one of crc32c, none\npath-style",
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
