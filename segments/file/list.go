package file

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"firn/segments"
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

// walk lists the objects whose keys begin with above, which is empty or ends with a slash. It returns false to stop.
func (l listing) walk(above string) (bool, error) {
	if err := l.ctx.Err(); err != nil {
		return false, err
	}
	keys, entries, err := l.read(above)
	if err != nil {
		return false, err
	}
	for _, key := range keys {
		more := true
		if strings.HasSuffix(key, "/") {
			more, err = l.walk(key)
		} else {
			more, err = l.object(key, entries[key])
		}
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// read returns what of a directory may matter to the listing: keys in order, those of directories with a slash behind them, which is
// how the keys below them compare with their neighbours.
func (l listing) read(above string) ([]string, map[string]fs.DirEntry, error) {
	f, err := os.Open(l.store.path(above))
	if isAbsent(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	all, err := f.ReadDir(-1)
	if err != nil && !isAbsent(err) {
		return nil, nil, err
	}
	keys := make([]string, 0, len(all))
	entries := make(map[string]fs.DirEntry, len(all))
	for _, entry := range all {
		key := above + entry.Name()
		switch {
		case !segments.IsKeyElement(entry.Name()):
		case entry.IsDir() && l.wantsBelow(key+"/"):
			keys = append(keys, key+"/")
		case entry.Type().IsRegular() && strings.HasPrefix(key, l.prefix) && key > l.after:
			keys = append(keys, key)
			entries[key] = entry
		}
	}
	slices.Sort(keys)
	return keys, entries, nil
}

// wantsBelow says whether keys that begin with above, which ends with a slash, may be asked for.
func (l listing) wantsBelow(above string) bool {
	behind := above >= l.after || strings.HasPrefix(l.after, above)
	return behind && (strings.HasPrefix(above, l.prefix) || strings.HasPrefix(l.prefix, above))
}

func (l listing) object(key string, entry fs.DirEntry) (bool, error) {
	if err := l.ctx.Err(); err != nil {
		return false, err
	}
	info, err := entry.Info()
	if err != nil {
		return true, ignoreAbsent(err)
	}
	return l.yield(segments.Object{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil), nil
}
