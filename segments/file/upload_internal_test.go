package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/segments"
)

// temporaries returns the temporary files of a store.
func temporaries(t *testing.T, s *Store) (names []string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(name string, entry fs.DirEntry, err error) error {
		if strings.HasPrefix(entry.Name(), temporaryPrefix) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func create(t *testing.T, s *Store, key string, size int) segments.Upload {
	t.Helper()
	u, err := s.Create(t.Context(), key)
	if err == nil {
		_, err = u.Write(make([]byte, size))
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestUploadSyncs: the directory of an object is synced once, when the object is in it and its
// temporary file is not.
func TestUploadSyncs(t *testing.T) {
	s, p := openWithSpy(t)
	u := create(t, s, "a/one", syncBytes+10)
	p.take()
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.seen["a"], []string{"one"}) || !slices.Equal(p.syncs, []string{"a"}) {
		t.Errorf("%v was synced, with %v in it", p.syncs, p.seen["a"])
	}
	if err := u.Commit(); err != nil || len(p.take()) != 1 {
		t.Error("a second commit:", err)
	}
}

// TestUploadOnBrokenDisk: a directory that cannot be synced fails every commit, also the second
// try.
func TestUploadOnBrokenDisk(t *testing.T) {
	s, p := openWithSpy(t)
	u := create(t, s, "a/one", 10)
	p.fail = errors.New("the disk is broken")
	for range 2 {
		if err := u.Commit(); !errors.Is(err, p.fail) {
			t.Error("got", err)
		}
	}
	if err := u.Abort(); err != nil {
		t.Error(err)
	}
	if left := temporaries(t, s); len(left) != 0 {
		t.Error(left)
	}
}

// TestUploadLeftByACrash is an upload whose process died: nobody sees it, and a later Open or Clean
// removes it.
func TestUploadLeftByACrash(t *testing.T) {
	s, _ := openWithSpy(t)
	create(t, s, "a/one", 10)
	create(t, s, "a/two", 10)
	left := temporaries(t, s)
	for o, err := range s.List(t.Context(), "", "") {
		t.Error("there is", o, err)
	}
	if n, err := s.Clean(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil || len(left) != 2 {
		t.Error(n, err, left)
	}
	past := time.Now().Add(-2 * staleAge)
	if err := os.Chtimes(left[0], past, past); err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if now := temporaries(t, s); !slices.Equal(now, left[1:]) {
		t.Error("left are", now)
	}
	if n, err := s.Clean(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Error(n, err)
	}
}

// TestAbortLeavesNothing: not even the directories that were made for the upload.
func TestAbortLeavesNothing(t *testing.T) {
	s, _ := openWithSpy(t)
	if err := create(t, s, "a/b/one", 10).Abort(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(s.dir); err != nil || len(entries) != 0 {
		t.Error(entries, err)
	}
}
