package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"firn.dev/segments"
)

// temporaryPrefix begins the names of temporary files. No key holds this character.
const temporaryPrefix = "~"

// maxOpen is how many directories a store keeps open when nobody uses them.
const maxOpen = 64

// writeBytes is how much of an object is written at once. Linux makes page cache pages as large as
// a write asks for, and those of a megabyte and more, hard to come by, can cost more than all the
// rest of a put.
const writeBytes = 256 << 10

// errRemoved says that a directory is no longer linked into its parent.
var errRemoved = errors.New("directory has been removed")

// directory is a directory held open. Because files are created relative to the open handle, they
// are either in the very directory whose own entry was synced when it was opened, or they fail;
// they can never end up in one that was removed and made again meanwhile.
type directory struct {
	path  string
	store *Store
	root  *os.Root
	self  *os.File // to sync
	users int      // guarded by store.mu
}

// acquire returns the open directory, making it and its parents durably if they are missing. It
// must be released.
func (s *Store) acquire(name string) (*directory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "." {
		return s.root, nil
	}
	d, err := s.descend(name)
	if err != nil {
		return nil, err
	}
	d.users++
	return d, nil
}

// descend opens the directory, unless it is open. The caller holds s.mu: opening is rare.
func (s *Store) descend(name string) (*directory, error) {
	if d := s.open[name]; d != nil {
		return d, nil
	}
	parent := s.root
	if above := path.Dir(name); above != "." {
		var err error
		if parent, err = s.descend(above); err != nil {
			return nil, err
		}
	}
	base := path.Base(name)
	if err := parent.root.Mkdir(base, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, s.forget(parent, err)
	}
	d, err := openDirectory(s, name, func() (*os.Root, error) { return parent.root.OpenRoot(base) })
	if err != nil {
		if info, statErr := parent.root.Lstat(base); statErr == nil && !info.IsDir() {
			return nil, fmt.Errorf("%w: %s is an object", segments.ErrKey, name)
		}
		if err = s.forget(parent, err); errors.Is(err, fs.ErrNotExist) { // a Delete has just removed it
			err = errRemoved
		}
		return nil, err
	}
	// Whoever made the directory may not have synced its parent yet.
	if err := s.commit(parent); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if len(s.open) >= maxOpen {
		s.closeIdle(parent)
	}
	s.open[name] = d
	return d, nil
}

// forget translates the failure of an operation in d. If d has been removed, it is not used again.
func (s *Store) forget(d *directory, err error) error {
	switch {
	case d == s.root || !errors.Is(err, fs.ErrNotExist):
		return err
	case s.open[d.path] == d:
		delete(s.open, d.path)
		if d.users == 0 {
			d.close()
		}
	}
	return errRemoved
}

// closeIdle closes the directories that nobody uses, but not keep.
func (s *Store) closeIdle(keep *directory) {
	for name, d := range s.open {
		if d.users == 0 && d != keep {
			delete(s.open, name)
			d.close()
		}
	}
}

// release ends the use that acquire began.
func (s *Store) release(d *directory) {
	if d == s.root {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.users--
	if d.users == 0 && s.open[d.path] != d {
		d.close()
	}
}

// prune removes the directory if it is empty, and then its parents. That it is not is no failure.
func (s *Store) prune(name string) {
	for ; name != "."; name = path.Dir(name) {
		if syscall.Rmdir(s.path(name)) != nil { // not os.Remove, which would also remove an object of that name
			return
		}
		s.mu.Lock()
		if d := s.open[name]; d != nil {
			s.forget(d, fs.ErrNotExist)
		}
		s.mu.Unlock()
	}
}

func openDirectory(s *Store, name string, open func() (*os.Root, error)) (*directory, error) {
	root, err := open()
	if err != nil {
		return nil, err
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &directory{path: name, store: s, root: root, self: self}, nil
}

func (d *directory) close() error { return errors.Join(d.self.Close(), d.root.Close()) }

// create makes the file, whole and synced, if no file has its name. The directory is still to be
// synced.
func (d *directory) create(ctx context.Context, name string, body []byte) error {
	if err := d.taken(name); err != nil {
		return err
	}
	temporary := temporaryPrefix + rand.Text()
	err := d.write(temporary, body)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = d.link(temporary, name)
	}
	if removed := d.root.Remove(temporary); err == nil {
		err = removed
	}
	return d.removed(err)
}

// taken says whether name stands for something already.
func (d *directory) taken(name string) error {
	info, err := d.root.Lstat(name)
	switch {
	case err != nil:
		return nil
	case info.IsDir():
		return fmt.Errorf("%w: other objects' keys begin with it", segments.ErrKey)
	default:
		return segments.ErrExists
	}
}

// link gives a temporary file its name, if no file has it.
func (d *directory) link(temporary, name string) error {
	if err := d.taken(name); err != nil {
		return err
	}
	err := d.root.Link(temporary, name)
	if errors.Is(err, fs.ErrExist) {
		return segments.ErrExists
	}
	return err
}

// removed translates the failure of an operation in the directory, which nobody holds store.mu for.
func (d *directory) removed(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	return d.store.forget(d, err)
}

// write makes a synced file.
func (d *directory) write(name string, body []byte) error {
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	for piece := range slices.Chunk(body, writeBytes) {
		if _, err = f.Write(piece); err != nil {
			break
		}
	}
	if err == nil {
		err = syncData(f)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// probe finds out whether files can be created and linked.
func (d *directory) probe() error {
	first, second := temporaryPrefix+rand.Text(), temporaryPrefix+rand.Text()
	err := d.write(first, nil)
	if err == nil {
		err = d.root.Link(first, second)
		err = errors.Join(err, ignoreAbsent(d.root.Remove(second)), d.root.Remove(first))
	}
	return err
}
