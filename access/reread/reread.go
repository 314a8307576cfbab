// Package reread keeps what files say, and reads them again when they change.
package reread

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Files is what some files say. Its methods may be called by many goroutines at once.
type Files[T any] struct {
	// LookAfter is how old what is known may be before Current looks whether the files have changed.
	LookAfter time.Duration

	what   string
	load   func() (T, error)
	tell   func(T) []any
	logger *slog.Logger
	names  []string

	mu     sync.Mutex
	value  T
	looked time.Time
	seen   []version
	failed string // what was wrong with the files as they are now
}

// version tells one state of a file from another.
type version struct {
	modified time.Time
	size     int64
}

// Load reads files by a function, which is called again when one of them has changed. The logger
// hears of that, with what people call these files and what tell says of them.
func Load[T any](load func() (T, error), tell func(T) []any, logger *slog.Logger, what string,
	names ...string) (*Files[T], error) {
	f := &Files[T]{LookAfter: time.Second, what: what, load: load, tell: tell, logger: logger, names: names,
		looked: time.Now()}
	f.seen = f.versions() // before they are read
	var err error
	f.value, err = load()
	return f, err
}

// Current is what the files say. It stays what it was while they cannot be used: the two files of a
// certificate change one after the other.
func (f *Files[T]) Current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Sub(f.looked) < f.LookAfter {
		return f.value
	}
	f.looked = now
	seen := f.versions()
	if slices.Equal(seen, f.seen) && f.failed == "" {
		return f.value
	}
	f.seen = seen
	value, err := f.load()
	switch {
	case err == nil:
		f.value, f.failed = value, ""
		f.logger.Info(f.what+" read again", f.tell(value)...)
	case err.Error() != f.failed:
		f.failed = err.Error()
		f.logger.Error("the new "+f.what+" cannot be used; the old ones stay in use", "error", err)
	}
	return f.value
}

func (f *Files[T]) versions() []version {
	versions := make([]version, len(f.names))
	for i, name := range f.names {
		if info, err := os.Stat(name); err == nil {
			versions[i] = version{info.ModTime(), info.Size()}
		}
	}
	return versions
}
