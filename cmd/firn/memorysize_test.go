package main

import (
	"testing"

	"github.com/spf13/pflag"

	"firn.dev/segments/stores"
)

// TestMemorySize is small where the bucket is a directory, unless somebody says otherwise.
func TestMemorySize(t *testing.T) {
	for _, test := range []struct {
		text, store string
		want        int64
	}{
		{"auto", "/dir", int64(cacheOnDisk)},
		{"auto", "s3://bucket", int64(cacheOnNetwork)},
		{"auto", "minio://host/bucket", int64(cacheOnNetwork)},
		{"16MiB", "/dir", 16 << 20},
		{"16MiB", "s3://bucket", 16 << 20},
	} {
		at, err := stores.Parse(test.store)
		if err != nil {
			t.Fatal(err)
		}
		var m memorySize
		if err := m.Set(test.text); err != nil || m.String() != test.text ||
			m.at(at, cacheOnDisk, cacheOnNetwork) != test.want {
			t.Errorf("--cache-bytes %s on %s is %d (%v, %v), not %d", test.text, test.store,
				m.at(at, cacheOnDisk, cacheOnNetwork), &m, err, test.want)
		}
	}
	if err := new(memorySize).Set("much"); err == nil {
		t.Error("--cache-bytes much is taken")
	}
}

// TestCarryBytes: what is put once goes by the store, and is never more than a segment.
func TestCarryBytes(t *testing.T) {
	for _, test := range []struct {
		args  []string
		store string
		want  int
	}{
		{nil, "/dir", 0},
		{nil, "s3://bucket", 8 << 20},
		{nil, "minio://host/bucket", 8 << 20},
		{[]string{"--flush-bytes", "1MiB"}, "s3://bucket", 1 << 20},
		{[]string{"--carry-bytes", "0"}, "s3://bucket", 0},
		{[]string{"--carry-bytes", "64KiB"}, "/dir", 64 << 10},
	} {
		at, err := stores.Parse(test.store)
		if err != nil {
			t.Fatal(err)
		}
		var o serveOptions
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		o.addFlags(flags)
		if err := flags.Parse(test.args); err != nil || o.carries(at) != test.want {
			t.Errorf("%q on %s: %d, %v, not %d", test.args, test.store, o.carries(at), err, test.want)
		}
	}
}
