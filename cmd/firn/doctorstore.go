package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"firn/segments"
	"firn/segments/file"
)

// What doctor does to a store, and when it worries.
const (
	doctorRacers = 16 // concurrent puts of one key, of which one may win
	doctorPuts   = 32 // puts that are timed
	slowPut      = 50 * time.Millisecond

	tooLittleSpace = 256 << 20
	littleSpace    = 2 << 30
)

// Where the coordinator keeps what doctor counts.
const (
	incarnations = "incarnations/"
	journal      = "journal/"
)

// examineStore yields the findings about the store. Directories and objects that it made are gone again when it returns.
func examineStore(ctx context.Context, url string) func(yield func(finding) bool) {
	return func(yield func(finding) bool) {
		dir, err := storeDirectory(url)
		if err != nil {
			yield(finding{"store", bad("give --store file:///DIR", "%v", err)})
			return
		}
		existing := nearestExisting(dir)
		if !yield(finding{"disk space", checkSpace(existing)}) {
			return
		}
		store, err := file.Open(dir)
		if err != nil {
			yield(finding{"store", bad("make it writable for this user, or name another with --store", "%v", err)})
			return
		}
		p := probe{store: store, prefix: "doctor/" + segments.NewID(time.Now()).String() + "/"}
		for _, f := range []struct {
			name  string
			check func(context.Context) verdict
		}{
			{"store", func(ctx context.Context) verdict { return p.checkRoundTrip(ctx, dir) }},
			{"put-if-absent", p.checkRace},
			{"put latency", p.checkLatency},
			{"coordinator", p.checkCoordinator},
		} {
			if !yield(finding{f.name, f.check(ctx)}) {
				break
			}
		}
		if err := errors.Join(p.tidy(context.WithoutCancel(ctx)), store.Close(), removeEmpty(dir, existing)); err != nil {
			yield(finding{"store", bad("remove it by hand", "doctor could not take its probes away: %v", err)})
		}
	}
}

// nearestExisting is dir, or the nearest directory above it that exists.
func nearestExisting(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			return at
		}
	}
}

// removeEmpty removes dir and the directories above it as far as existing, which were not there before. Directories that
// somebody has put something into meanwhile stay.
func removeEmpty(dir, existing string) error {
	for at := dir; at != existing && at != filepath.Dir(at); at = filepath.Dir(at) {
		if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

func checkSpace(dir string) verdict {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return doubtful("", "cannot be told for %s: %v", dir, err)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	switch {
	case free < tooLittleSpace:
		return bad("make room, or name another directory with --store", "%s free in %s", byteCount(free), dir)
	case free < littleSpace:
		return doubtful("it fills up soon", "%s free in %s", byteCount(free), dir)
	}
	return fine("%s free in %s", byteCount(free), dir)
}

// probe tries a store out below one prefix of its own.
type probe struct {
	store  segments.Store
	prefix string
}

// checkRoundTrip writes, reads, lists and deletes.
func (p probe) checkRoundTrip(ctx context.Context, dir string) verdict {
	const advice = "objects must come back as they were put; see the error"
	key, body := p.prefix+"round-trip", []byte("firn doctor was here")
	if err := p.store.Put(ctx, key, body); err != nil {
		return bad("make it writable for this user, or name another with --store", "%v", err)
	}
	got, err := p.store.Get(ctx, key, 0, -1)
	if err == nil && !bytes.Equal(got, body) {
		err = fmt.Errorf("%s reads back as other bytes", key)
	}
	if err != nil {
		return bad(advice, "%v", err)
	}
	for object, err := range p.store.List(ctx, p.prefix, "") {
		if err != nil {
			return bad(advice, "%v", err)
		}
		if drift := time.Since(object.Modified).Abs(); drift > time.Minute {
			return doubtful("set both clocks by NTP", "%s: its clock differs from this machine's by %s", dir, drift.Round(time.Second))
		}
	}
	return fine("%s can be written, read and listed", dir)
}

// checkRace proves that of several puts of one key exactly one succeeds, and that what it put stays.
func (p probe) checkRace(ctx context.Context) verdict {
	key := p.prefix + "race"
	errs := make([]error, doctorRacers)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = p.store.Put(ctx, key, fmt.Appendf(nil, "racer %d", i)) })
	}
	wg.Wait()
	winner, winners := -1, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner, winners = i, winners+1
		case !errors.Is(err, segments.ErrExists):
			return bad("see the error", "%v", err)
		}
	}
	if winners != 1 {
		return bad("use a store that honours it: without, two nodes can overwrite each other", "%d of %d racers won", winners, doctorRacers)
	}
	if got, err := p.store.Get(ctx, key, 0, -1); err != nil || string(got) != fmt.Sprintf("racer %d", winner) {
		return bad("use a store that honours it", "the loser's bytes are there (%v)", err)
	}
	return fine("honoured: %d raced for a key, one won", doctorRacers)
}

// checkLatency times puts of a small object: on the file store, what its fsyncs cost.
func (p probe) checkLatency(ctx context.Context) verdict {
	took := make([]time.Duration, doctorPuts)
	body := make([]byte, 4<<10)
	for i := range took {
		began := time.Now()
		if err := p.store.Put(ctx, fmt.Sprintf("%stimed-%d", p.prefix, i), body); err != nil {
			return bad("see the error", "%v", err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	median, worst := took[len(took)/2].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond)
	if median > slowPut {
		return doubtful("producers wait two puts for an acknowledgement; a faster disk makes it shorter",
			"4 KiB, durable: median %s, worst %s", median, worst)
	}
	return fine("4 KiB, durable: median %s, worst %s", median, worst)
}

// checkCoordinator says what the embedded coordinator will recover from. It takes no incarnation: a doctor fences nobody.
func (p probe) checkCoordinator(ctx context.Context) verdict {
	counts := map[string]int{}
	for _, prefix := range []string{incarnations, journal} {
		for _, err := range p.store.List(ctx, prefix, "") {
			if err != nil {
				return bad("see the error", "%v", err)
			}
			counts[prefix]++
		}
	}
	if counts[incarnations] == 0 {
		return fine("embedded; the bucket is new")
	}
	return fine("embedded; it recovers from %d incarnations and %d journal objects", counts[incarnations],
		counts[journal])
}

// tidy deletes every object below the prefix.
func (p probe) tidy(ctx context.Context) error {
	var keys []string
	for object, err := range p.store.List(ctx, p.prefix, "") {
		if err != nil {
			return err
		}
		keys = append(keys, object.Key)
	}
	return p.store.Delete(ctx, keys...)
}
