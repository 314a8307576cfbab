package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/file"
	"firn.dev/segments/storetest"
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

func TestOpenMakesDirectories(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	open(t, dir)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Error(info, err)
	}
	open(t, dir)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{name, filepath.Join(name, "below")} {
		_, err := file.Open(dir)
		if err == nil || !strings.Contains(err.Error(), "data directory "+dir+" cannot be created") ||
			strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("opening %s: %v", dir, err)
		}
	}
}

// TestKeysInEachOthersWay are what a directory cannot hold: one error says so, and it is not that
// the object exists. A reader gets everything and leaves no trace, not even of a directory that is
// not there.
func TestOpenReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir).Put(t.Context(), "a/b", []byte("body")); err != nil {
		t.Fatal(err)
	}
	s, err := file.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if body, err := s.Get(t.Context(), "a/b", 0, -1); err != nil || string(body) != "body" {
		t.Errorf("%q, %v", body, err)
	}
	_, created := s.Create(t.Context(), "c")
	_, cleaned := s.Clean(t.Context(), time.Now())
	for what, err := range map[string]error{"put": s.Put(t.Context(), "c", nil), "create": created,
		"delete": s.Delete(t.Context(), "a/b"), "clean": cleaned} {
		if err == nil {
			t.Errorf("%s: not refused", what)
		}
	}
	missing := filepath.Join(dir, "missing")
	if _, err := file.OpenReadOnly(missing); err == nil {
		t.Error("a directory that is not there was opened")
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory was made: %v", err)
	}
}

func TestKeysInEachOthersWay(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Put(t.Context(), "a/b", nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a/b/c", "a/b/c/d"} {
		if err := s.Put(t.Context(), key, nil); !errors.Is(err, segments.ErrKey) {
			t.Errorf("put %s: %v", key, err)
		}
	}
}

// TestDirectoryGone is a data directory that somebody removes under a running store: an error, not
// an endless attempt.
func TestDirectoryGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	if err := s.Put(t.Context(), "d/one", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"d/two", "top", "e/three"} {
		if err := s.Put(t.Context(), key, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("put %s: %v", key, err)
		}
	}
}
