package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// newLogger returns a logger of that form, whose warnings are summed up when they repeat.
func newLogger(w io.Writer, form string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: legibleAttr}
	handler := slog.Handler(slog.NewTextHandler(w, options))
	if form == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	return slog.New(&summing{Handler: handler, repeats: &repeats{seen: map[string]*repeat{}}})
}

// legibleAttr writes what has a String as that: ids are arrays of numbers in JSON otherwise.
func legibleAttr(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	switch value := a.Value.Any().(type) {
	case error, json.Marshaler:
		return a
	case fmt.Stringer:
		a.Value = slog.StringValue(value.String())
	}
	return a
}

// Bounds of summing up.
const (
	// repeatsWithin is how long a warning is not written again.
	repeatsWithin = 10 * time.Second
	// maxRepeats is how many warnings are remembered. Beyond it all are written.
	maxRepeats = 1000
)

// summing is a handler that writes a warning once, and if it comes again within repeatsWithin, only
// the last of those, when that time is over, with how many there were. Warnings are the same if
// their message and their attributes that are texts are, but for the error: what differs from one
// attempt to the next are errors, numbers and ids.
type summing struct {
	slog.Handler
	of string // the attributes of the logger
	*repeats
}

// repeats are the warnings of all loggers that are derived from one.
type repeats struct {
	mu   sync.Mutex
	seen map[string]*repeat
}

// repeat is a warning that was written.
type repeat struct {
	count  int // since then
	last   slog.Record
	writer slog.Handler
}

func (h *summing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &summing{h.Handler.WithAttrs(attrs), h.of + sameness(attrs), h.repeats}
}

func (h *summing) WithGroup(name string) slog.Handler {
	return &summing{h.Handler.WithGroup(name), h.of + "\x00" + name, h.repeats}
}

// Handle writes a record, or counts it.
func (h *summing) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	if h.counted(fmt.Sprint(r.Level, r.Message, h.of, sameness(attrs)), r, h.Handler) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// sameness is what warnings have in common that are the same.
func sameness(attrs []slog.Attr) string {
	var b strings.Builder
	for _, a := range attrs {
		if a.Value.Kind() == slog.KindString && a.Key != "error" {
			fmt.Fprintf(&b, "\x00%s=%s", a.Key, a.Value)
		}
	}
	return b.String()
}

// counted says whether a warning was written a short time ago, and so is counted instead.
func (s *repeats) counted(key string, r slog.Record, writer slog.Handler) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.seen[key]; was != nil {
		was.count, was.last, was.writer = was.count+1, r.Clone(), writer
		return true
	}
	if len(s.seen) < maxRepeats {
		s.seen[key] = &repeat{}
		time.AfterFunc(repeatsWithin, func() { s.sumUp(key) })
	}
	return false
}

// sumUp writes the last of the warnings that were counted. If there was any, it is to be expected
// that more come.
func (s *repeats) sumUp(key string) {
	s.mu.Lock()
	was := s.seen[key]
	if was.count == 0 {
		delete(s.seen, key)
		s.mu.Unlock()
		return
	}
	s.seen[key] = &repeat{}
	s.mu.Unlock()
	time.AfterFunc(repeatsWithin, func() { s.sumUp(key) })
	was.last.AddAttrs(slog.Int("repeated", was.count))
	_ = was.writer.Handle(context.Background(), was.last) // a log that cannot be written has nobody to tell
}

// redisLogger is the log of Redis's client, for which there is one in a process. Firn tells itself
// of every call that fails.
type redisLogger struct{ *slog.Logger }

// Printf writes a line at the level of debugging.
func (l redisLogger) Printf(ctx context.Context, format string, args ...any) {
	l.DebugContext(ctx, "Redis's client: "+fmt.Sprintf(format, args...))
}

// quietLibraries has libraries log where this process does.
func quietLibraries(logger *slog.Logger) { redis.SetLogger(redisLogger{logger}) }
