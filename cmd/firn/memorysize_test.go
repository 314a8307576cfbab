package main

import (
	"testing"

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
