package stores_test

import (
	"strings"
	"testing"

	"firn.dev/segments/stores"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		url, text, prefix string
		local, billed     bool
	}{
		{"/var/lib/firn", "/var/lib/firn", "/var/lib/firn", true, false},
		{"file:///var/lib/firn", "/var/lib/firn", "/var/lib/firn", true, false},
		{"s3://bucket/a/b", "s3://bucket/a/b/", "a/b/", false, true},
		{"s3://bucket?endpoint=http://host:1", "s3://bucket/ at http://host:1", "", false, true},
		{"minio://key:secret@host:1/bucket/a", "minio://host:1/bucket/a/", "a/", false, false},
	} {
		at, err := stores.Parse(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		if at.String() != test.text || at.Prefix() != test.prefix || at.Local() != test.local || at.Billed() != test.billed {
			t.Errorf("%s: %s, prefix %q, local %v, billed %v; want %+v", test.url, at, at.Prefix(), at.Local(), at.Billed(),
				test)
		}
		if moved := at.WithPrefix("/other"); moved.Prefix() != "/other" || at.Prefix() != test.prefix {
			t.Errorf("%s with another prefix is %s, and %s stays", test.url, moved, at)
		}
	}
}

// TestParseRefuses is what somebody reads who mistyped a URL.
func TestParseRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"": "it is empty; give a directory, for example file://./firn-data",
		"file://var/lib": "write file:///var/lib for an absolute directory, file://./var/lib for a " +
			"relative one",
		"gs://bucket": `unknown scheme "gs"; give file:///DIR, s3://BUCKET/PREFIX or ` +
			`minio://HOST:PORT/BUCKET/PREFIX`,
		"minio://key:geheim@host:1":     "minio:// write minio://HOST:PORT/BUCKET",
		"s3://key:geheim@bucket/prefix": "s3:// credentials do not stand in an s3:// URL",
	} {
		_, err := stores.Parse(url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v; want %s, and no secret", url, err, want)
		}
	}
}
