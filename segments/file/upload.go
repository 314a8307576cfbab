package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"

	"firn.dev/segments"
)

// syncBytes is how much of an upload is written between two fsyncs. Without them its Commit would
// have hundreds of megabytes to flush, and with it, on file systems with a journal, the fsync of
// every put that comes along: for as long as what is written between two takes, 2 ms for this much
// on an ordinary disk.
const syncBytes = 1 << 20

// upload is a temporary file in the directory of its object.
type upload struct {
	ctx       context.Context
	store     *Store
	key       string
	dir       *directory // held until the upload is over
	temporary string
	file      *os.File
	unsynced  int
	linked    bool // the object is there, but its directory may not be synced
	committed bool
	err       error // why nothing more can be done
}

// Create implements segments.Store.
func (s *Store) Create(ctx context.Context, key string) (segments.Upload, error) {
	if err := begin(ctx, key); err != nil {
		return nil, fmt.Errorf("create %s: %w", key, err)
	}
	for {
		u, err := s.create(ctx, key)
		if err == nil {
			return u, nil
		}
		// A Delete may have just removed the directory, which was empty: then it is made again.
		if !errors.Is(err, errRemoved) || ctx.Err() != nil {
			return nil, fmt.Errorf("create %s: %w", key, errors.Join(ctx.Err(), err))
		}
	}
}

func (s *Store) create(ctx context.Context, key string) (*upload, error) {
	if s.readOnly {
		return nil, errReadOnly
	}
	d, err := s.acquire(path.Dir(key))
	if err != nil {
		return nil, err
	}
	u := &upload{ctx: ctx, store: s, key: key, dir: d, temporary: temporaryPrefix + rand.Text()}
	if u.file, err = d.root.OpenFile(u.temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		err = d.removed(err)
		s.release(d)
		return nil, err
	}
	return u, nil
}

// Write implements segments.Upload.
func (u *upload) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := u.check(); err != nil {
			return n, fmt.Errorf("write %s: %w", u.key, err)
		}
		m, err := u.file.Write(p[n:min(len(p), n+writeBytes)])
		n += m
		u.unsynced += m
		if err == nil && u.unsynced >= syncBytes {
			err, u.unsynced = syncData(u.file), 0
		}
		if err != nil {
			u.err = err
			return n, fmt.Errorf("write %s: %w", u.key, err)
		}
	}
	return n, nil
}

// check says why the upload cannot go on.
func (u *upload) check() error {
	if u.err != nil {
		return u.err
	}
	return u.ctx.Err()
}

// Commit implements segments.Upload.
func (u *upload) Commit() error {
	if u.committed {
		return nil
	}
	err := u.check()
	if err == nil {
		err = u.commit()
	}
	if err != nil {
		return fmt.Errorf("commit %s: %w", u.key, err)
	}
	u.committed = true
	return u.end(nil)
}

// commit is what a put does with its temporary file.
func (u *upload) commit() error {
	if broken := u.store.broken.Load(); broken != nil {
		return *broken
	}
	if u.unsynced > 0 {
		if u.err = syncData(u.file); u.err != nil { // the kernel says so only once
			return u.err
		}
		u.unsynced = 0
	}
	var err error
	if !u.linked {
		err = u.dir.link(u.temporary, path.Base(u.key))
		u.linked = err == nil
	}
	if u.linked { // before the directory is synced, so that it cannot be back after a power failure
		if err := ignoreAbsent(u.dir.root.Remove(u.temporary)); err != nil {
			return err
		}
	}
	if err != nil && !errors.Is(err, segments.ErrExists) {
		return err
	}
	if failed := u.store.commit(u.dir); failed != nil {
		return failed
	}
	return err
}

// Abort implements segments.Upload.
func (u *upload) Abort() error {
	if u.dir == nil {
		return nil
	}
	return u.end(segments.ErrAborted)
}

// end gives everything back, and says why nothing more can be done.
func (u *upload) end(why error) error {
	u.err = why
	err := errors.Join(u.file.Close(), ignoreAbsent(u.dir.root.Remove(u.temporary)))
	u.store.release(u.dir)
	u.dir = nil
	if why != nil {
		u.store.prune(path.Dir(u.key))
	}
	if err != nil {
		return fmt.Errorf("end of %s: %w", u.key, err)
	}
	return nil
}
