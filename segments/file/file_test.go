package file_test

import (
	"testing"

	"firn/segments"
	"firn/segments/file"
	"firn/segments/storetest"
)

func open(t testing.TB, dir string) *file.Store {
	t.Helper()
	s, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) segments.Store { return open(t, t.TempDir()) })
}

func TestTwoStoresOnOneDirectory(t *testing.T) {
	storetest.RunPair(t, func(t *testing.T) (a, b segments.Store) {
		dir := t.TempDir()
		return open(t, dir), open(t, dir)
	})
}
