package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/segments"
)

// spy records which directories are synced, and what is in them at that moment.
type spy struct {
	mu    sync.Mutex
	syncs []string
	seen  map[string][]string
	fail  error
}

func openWithSpy(t *testing.T) (*Store, *spy) {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p := &spy{seen: map[string][]string{}}
	s.sync = func(f *os.File) error {
		name, _ := filepath.Rel(s.dir, f.Name())
		entries, err := os.ReadDir(f.Name())
		p.mu.Lock()
		defer p.mu.Unlock()
		p.syncs = append(p.syncs, name)
		for _, entry := range entries {
			p.seen[name] = append(p.seen[name], entry.Name())
		}
		return errors.Join(err, p.fail)
	}
	return s, p
}

func (p *spy) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	syncs := p.syncs
	p.syncs, p.seen = nil, map[string][]string{}
	return syncs
}

// TestSyncs counts the fsyncs of directories: one for each put, and one more for each new
// directory, of its parent, before anything is in it.
func TestSyncs(t *testing.T) {
	s, p := openWithSpy(t)
	for _, step := range []struct {
		key  string
		err  error
		want []string
	}{
		{"a/b/one", nil, []string{".", "a", "a/b"}},
		{"a/b/two", nil, []string{"a/b"}},
		{"a/b/two", segments.ErrExists, []string{"a/b"}}, // what it lost to may be another's, not yet durable
		{"a/c", nil, []string{"a"}},
		{"top", nil, []string{"."}},
	} {
		if err := s.Put(t.Context(), step.key, []byte("x")); !errors.Is(err, step.err) {
			t.Fatal(step.key, err)
		}
		parent, name := filepath.Split(step.key)
		if !slices.Contains(p.seen[filepath.Clean(parent)], name) {
			t.Errorf("%s was not there when its directory was synced", step.key)
		}
		for directory, names := range p.seen {
			if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, temporaryPrefix) }) {
				t.Errorf("%s was synced with a temporary file in it", directory)
			}
		}
		if got := p.take(); !slices.Equal(got, step.want) {
			t.Errorf("%s synced %q, want %q", step.key, got, step.want)
		}
	}
}

// TestSyncFailure is a disk that fails once: nothing is written any more, because a later fsync
// that succeeds would prove nothing.
func TestSyncFailure(t *testing.T) {
	s, p := openWithSpy(t)
	if err := s.Put(t.Context(), "d/one", nil); err != nil {
		t.Fatal(err)
	}
	p.fail = errors.New("the disk is on fire")
	if err := s.Put(t.Context(), "d/two", nil); !errors.Is(err, p.fail) {
		t.Error(err)
	}
	failure := p.fail
	p.fail = nil
	if err := s.Put(t.Context(), "d/three", nil); !errors.Is(err, failure) {
		t.Error("a put after the failure:", err)
	}
	if _, err := s.Get(t.Context(), "d/one", 0, -1); err != nil {
		t.Error("reading goes on:", err)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-2 * staleAge)
	for _, name := range []string{"d/e/~old", "~old", "~young", "d/~young", "d/old-object"} {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, "old") {
			if err := os.Chtimes(name, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var left []string
	filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if !entry.IsDir() {
			left = append(left, entry.Name())
		}
		return err
	})
	slices.Sort(left)
	if want := []string{"old-object", "~young", "~young"}; !slices.Equal(left, want) {
		t.Errorf("left: %q, want %q", left, want)
	}
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil || o.Key != "d/old-object" {
			t.Error("listed:", o.Key, err)
		}
	}
}

// TestOpenDirectoriesBounded puts into more directories than are kept open.
func TestOpenDirectoriesBounded(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.sync = func(*os.File) error { return nil }
	for i := range 3 * maxOpen {
		key := "journal/" + time.Unix(int64(i), 0).UTC().Format("150405") + "/0"
		if err := s.Put(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
		if len(s.open) > maxOpen+1 {
			t.Fatalf("%d directories are open", len(s.open))
		}
	}
}
