package main

import (
	"context"
	"fmt"
	"sort"
	"time"
)

// patience is how long compaction may take: what is written last waits for twelve commit deadlines.
// Then it takes as long as it takes.
func (t *trial) patience() time.Duration { return 12*t.Deadline + 2*time.Minute }

// pause is how long to wait before looking again.
const pause = 200 * time.Millisecond

func wait(ctx context.Context) error {
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// survey is what was read, against what may be there.
type survey struct {
	all        []record
	superseded int // records that have a later one
	tombstones map[string]bool
	replaced   map[string]bool // keys with superseded records
	err        error           // something is there that was not written, or is not there that should be
}

// look reads everything.
func (t *trial) look(ctx context.Context) (survey, error) {
	all, err := t.fetch(ctx, 0)
	if err != nil {
		return survey{}, err
	}
	s := survey{all: all, tombstones: map[string]bool{}, replaced: map[string]bool{}}
	seen := map[string]bool{}
	before := int64(-1)
	for _, r := range all {
		u, known := t.last[r.key]
		switch {
		case !known || r.offset <= before || r.offset > u.offset:
			s.err = fmt.Errorf("a record that nobody wrote: %+v", r)
		case r.offset < u.offset:
			s.superseded++
			s.replaced[r.key] = true
		case r.null != u.deleted || r.value != u.value || r.timestamp != u.timestamp:
			s.err = fmt.Errorf("read %+v, wrote %+v", r, u)
		default:
			seen[r.key] = true
			s.tombstones[r.key] = r.null
		}
		before = r.offset
	}
	for key, u := range t.last {
		if !seen[key] && (!u.deleted || s.replaced[key]) {
			s.err = fmt.Errorf("the last record of %s is gone: %+v", key, u)
		}
	}
	return s, nil
}

// settle waits until everything is compacted and the tombstones are gone. At every look the last
// values are all there.
func (t *trial) settle(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.patience()+t.Retention)
	defer cancel()
	for looks := 1; ; looks++ {
		s, err := t.look(ctx)
		if err == nil {
			err = s.err
		}
		if err != nil {
			return fmt.Errorf("look %d: %w", looks, err)
		}
		alive := 0
		for _, u := range t.last {
			if !u.deleted {
				alive++
			}
		}
		if s.superseded == 0 && len(s.all) == alive {
			t.Say("compacted after %.1f s and %d looks: %d records are left of %d, the last ones of %d keys; the tombstones "+
				"of %d others are gone",
				time.Since(began).Seconds(), looks, len(s.all), t.end, alive, len(t.last)-alive)
			return nil
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("after %v there are %d records, %d of them superseded, of %d keys that are alive: %w",
				time.Since(began), len(s.all), s.superseded, alive, err)
		}
	}
}

// tombstones watches tombstones: they are there for as long as they should, counted from when what
// they delete is gone, and then they go.
func (t *trial) tombstones(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.patience()+t.Retention)
	defer cancel()
	dirty := map[string]time.Time{} // when the key was last seen with what is deleted
	for key, u := range t.last {
		if u.deleted {
			dirty[key] = time.Time{}
		}
	}
	gone, soonest, latest := 0, time.Duration(1<<62), time.Duration(0)
	for {
		at := time.Now()
		s, err := t.look(ctx)
		if err == nil {
			err = s.err
		}
		if err != nil {
			return err
		}
		gone = 0
		for key, seen := range dirty {
			switch {
			case s.replaced[key]:
				dirty[key] = at
			case !s.tombstones[key] && !seen.IsZero():
				took := time.Since(seen)
				if took < t.Retention {
					return fmt.Errorf("the tombstone of %s is gone %v after what it deletes was there, before delete.retention.ms",
						key, took)
				}
				soonest, latest = min(soonest, took), max(latest, took)
				delete(dirty, key)
			case !s.tombstones[key]:
				gone++ // long ago
			}
		}
		if gone == len(dirty) {
			t.Say("tombstones went %.1f to %.1f s after what they delete was last seen; delete.retention.ms is %v",
				soonest.Seconds(), latest.Seconds(), t.Retention)
			return nil
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("%d tombstones are still there: %w", len(dirty)-gone, err)
		}
	}
}

// others compares what the other clients read, from the beginning and from offsets of which most
// are gone, with what our own requests find there.
func (t *trial) others(ctx context.Context) error {
	s, err := t.look(ctx)
	if err == nil {
		err = s.err
	}
	if err != nil {
		return err
	}
	const many = 8
	for i := range many {
		offset := t.random.Int64N(t.end)
		if i == 0 {
			offset = 0
		}
		want := s.all[sort.Search(len(s.all), func(i int) bool { return s.all[i].offset >= offset }):]
		for name, read := range map[string]func() ([]record, error){
			"own requests": func() ([]record, error) { return t.fetch(ctx, offset) },
			"franz-go":     func() ([]record, error) { return t.consume(ctx, offset, len(want)) },
			"kcat":         func() ([]record, error) { return t.kcat(ctx, offset) },
		} {
			got, err := read()
			if err == nil {
				err = same(want, got)
			}
			if err != nil {
				return fmt.Errorf("%s from offset %d: %w", name, offset, err)
			}
		}
	}
	t.Say("franz-go and kcat read the same from %d offsets", many)
	return nil
}
