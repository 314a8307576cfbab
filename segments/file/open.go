package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// staleAge is how old a temporary file must be for Open to remove it: no other process is still
// writing it.
const staleAge = 24 * time.Hour

// Open returns the store in dir. It makes the directory if it is not there, and fails if it cannot
// be written to.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := makeDurable(dir); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be created: %w", dir, cause(err))
	}
	s, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	if err := s.root.probe(); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s cannot be written: %w", dir, cause(err)), s.Close())
	}
	if _, err := s.Clean(context.Background(), time.Now().Add(-staleAge)); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: remove stale files: %w", dir, err), s.Close())
	}
	return s, nil
}

// OpenReadOnly opens the directory for those who only read. It has to be there, and nothing is
// written into it, so a directory, a mount or a user without permission to write will do.
func OpenReadOnly(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	s.readOnly = true
	return s, nil
}

func openRoot(dir string) (*Store, error) {
	s := &Store{dir: dir, sync: syncDirectory, open: map[string]*directory{}}
	var err error
	if s.root, err = openDirectory(s, ".", func() (*os.Root, error) { return os.OpenRoot(dir) }); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be opened: %w", dir, cause(err))
	}
	return s, nil
}

// errReadOnly is returned by whatever would write into a store that was opened to be read.
var errReadOnly = errors.New("the directory was opened for reading only")

// Close gives back what the store holds open. No operation may be under way or follow.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{s.root.close()}
	for name, d := range s.open {
		delete(s.open, name)
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// makeDurable makes dir and its parents as far as they are missing, and syncs each directory that
// got a new entry.
func makeDurable(dir string) error {
	var changed []string
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		changed = append(changed, filepath.Dir(at))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, parent := range changed {
		f, err := os.Open(parent)
		if err != nil {
			return err
		}
		if err := errors.Join(syncDirectory(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Clean implements segments.Cleaner: it removes temporary files last written before the given time.
func (s *Store) Clean(ctx context.Context, before time.Time) (removed int, err error) {
	if s.readOnly {
		return 0, errReadOnly
	}
	err = filepath.WalkDir(s.dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || entry.IsDir() || !strings.HasPrefix(entry.Name(), temporaryPrefix) {
			return ignoreAbsent(err)
		}
		info, err := entry.Info()
		if err == nil && info.ModTime().Before(before) {
			err = os.Remove(name)
			if err == nil {
				removed++
			}
		}
		return ignoreAbsent(err)
	})
	return removed, err
}

func ignoreAbsent(err error) error {
	if isAbsent(err) {
		return nil
	}
	return err
}

// cause takes the path away from an error whose text already names it.
func cause(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}
