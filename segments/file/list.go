package file

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"firn.dev/segments"
)

// List implements segments.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	return func(yield func(segments.Object, error) bool) {
		l := listing{ctx, s, prefix, after, yield}
		if _, err := l.walk(""); err != nil {
			yield(segments.Object{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

type listing struct {
	ctx           context.Context
	store         *Store
	prefix, after string
	yield         func(segments.Object, error) bool
}

// walk lists the objects whose keys begin with above, which is empty or ends with a slash. It
// returns false to stop.
func (l listing) walk(above string) (bool, error) {
	if err := l.ctx.Err(); err != nil {
		return false, err
	}
	found, err := l.read(above)
	if err != nil {
		return false, err
	}
	for _, f := range found {
		var more bool
		if f.entry.IsDir() {
			more, err = l.walk(f.key)
		} else {
			more, err = l.object(f)
		}
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// finding is an entry of a directory, and its key. That of a directory ends with a slash, which is
// how the keys below it compare with their neighbours.
type finding struct {
	key   string
	entry fs.DirEntry
}

// read returns what of a directory may matter to the listing, in order.
func (l listing) read(above string) ([]finding, error) {
	f, err := os.Open(l.store.path(above))
	if err != nil {
		return nil, ignoreAbsent(err)
	}
	defer f.Close()
	all, err := f.ReadDir(-1)
	if err != nil {
		return nil, ignoreAbsent(err)
	}
	var found []finding
	for _, entry := range all {
		key := above + entry.Name()
		switch {
		case !segments.IsKeyElement(entry.Name()):
		case entry.IsDir() && l.wantsBelow(key+"/"):
			found = append(found, finding{key + "/", entry})
		case entry.Type().IsRegular() && strings.HasPrefix(key, l.prefix) && key > l.after:
			found = append(found, finding{key, entry})
		}
	}
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.key, b.key) })
	return found, nil
}

// wantsBelow says whether keys that begin with above, which ends with a slash, may be asked for.
func (l listing) wantsBelow(above string) bool {
	behind := above >= l.after || strings.HasPrefix(l.after, above)
	return behind && (strings.HasPrefix(above, l.prefix) || strings.HasPrefix(l.prefix, above))
}

func (l listing) object(f finding) (bool, error) {
	if err := l.ctx.Err(); err != nil {
		return false, err
	}
	info, err := f.entry.Info()
	if err != nil {
		return true, ignoreAbsent(err)
	}
	return l.yield(segments.Object{Key: f.key, Size: info.Size(), Modified: info.ModTime()}, nil), nil
}
