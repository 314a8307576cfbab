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

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/segments"
	"firn.dev/segments/stores"
)

// What doctor does to a store, and when it worries.
const (
	doctorRacers   = 16 // concurrent puts of one key, of which one may win
	doctorRequests = 32 // puts and gets that are timed
	doctorBytes    = 4 << 10
	slowDiskPut    = 50 * time.Millisecond
	slowBucketPut  = 150 * time.Millisecond

	tooLittleSpace = 256 << 20
	littleSpace    = 2 << 30
)

// Where the coordinator keeps what doctor counts.
const (
	incarnations = "incarnations/"
	journal      = "journal/"
)

// examineStore yields the findings about the store. Directories and objects that it made are gone
// again when it returns.
func examineStore(ctx context.Context, o *serveOptions) func(yield func(finding) bool) {
	return func(yield func(finding) bool) {
		at, err := stores.Parse(o.store)
		if err != nil {
			yield(finding{"store", bad("correct --store", "%v", err)})
			return
		}
		existing := ""
		if at.Local() {
			existing = nearestExisting(at.Directory())
			if !yield(finding{"disk space", checkSpace(existing)}) {
				return
			}
		}
		b, err := at.Open(ctx)
		if err != nil {
			yield(finding{"store", bad("correct --store", "%v", err)})
			return
		}
		p := probe{store: b, at: at, prefix: "doctor/" + segments.NewID(time.Now()).String() + "/"}
		p.examine(ctx, o.coordinator, yield)
		err = errors.Join(p.tidy(context.WithoutCancel(ctx)), b.Close())
		if at.Local() {
			err = errors.Join(err, removeEmpty(at.Directory(), existing))
		}
		if err != nil {
			yield(finding{"store", bad("remove doctor/ by hand", "doctor could not take its probes away: %v", err)})
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

// removeEmpty removes dir and the directories above it as far as existing, which were not there
// before. Directories that somebody has put something into meanwhile stay.
func removeEmpty(dir, existing string) error {
	for at := dir; at != existing && at != filepath.Dir(at); at = filepath.Dir(at) {
		err := os.Remove(at)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if entries, readErr := os.ReadDir(at); readErr == nil && len(entries) > 0 {
			return nil
		}
		return err
	}
	return nil
}

func checkSpace(dir string) verdict {
	free, err := freeSpace(dir)
	switch {
	case err != nil:
		return doubtful("", "cannot be told for %s: %v", dir, err)
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
	at     stores.Location
	prefix string
}

// examine yields the findings about an opened store. If the first fails, so would the others.
func (p probe) examine(ctx context.Context, deciding string, yield func(finding) bool) {
	first := p.checkRoundTrip(ctx)
	if !yield(finding{"store", first}) || first.level == fail {
		return
	}
	for _, f := range []struct {
		name  string
		check func(context.Context) verdict
	}{
		{"put-if-absent", p.checkRace},
		{"put latency", p.checkPutLatency},
		{"get latency", p.checkGetLatency},
		{"coordinator", func(ctx context.Context) verdict { return p.checkCoordinator(ctx, deciding) }},
	} {
		if !yield(finding{f.name, f.check(ctx)}) {
			return
		}
	}
}

// checkRoundTrip writes, reads, lists and deletes.
func (p probe) checkRoundTrip(ctx context.Context) verdict {
	const advice = "objects must come back as they were put; see the error"
	key, body := p.prefix+"round-trip", []byte("firn doctor was here")
	if err := p.store.Put(ctx, key, body); err != nil {
		return bad("it must be writable; mend that, or name another with --store", "%v", err)
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
			return doubtful("set both clocks by NTP", "%s: its clock differs from this machine's by %s", p.at,
				drift.Round(time.Second))
		}
	}
	return fine("%s can be written, read and listed", p.at)
}

// checkRace proves that of several puts of one key exactly one succeeds, that what it put stays,
// and that it stays when somebody comes later.
func (p probe) checkRace(ctx context.Context) verdict {
	const advice = "do not use this store: without it two nodes overwrite each other's records. It must honour " +
		"'If-None-Match: *'"
	key := p.prefix + "race"
	errs := make([]error, doctorRacers+1)
	var wg sync.WaitGroup
	for i := range doctorRacers {
		wg.Go(func() { errs[i] = p.store.Put(ctx, key, fmt.Appendf(nil, "racer %d", i)) })
	}
	wg.Wait()
	errs[doctorRacers] = p.store.Put(ctx, key, []byte("a latecomer"))
	winner, winners := -1, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner, winners = i, winners+1
		case !errors.Is(err, segments.ErrExists):
			return bad("see the error", "%v", err)
		}
	}
	if winner == doctorRacers {
		return bad(advice, "not honoured: a key that was there was put again")
	}
	if winners != 1 {
		return bad(advice, "not honoured: %d of %d puts of one key succeeded", winners, doctorRacers)
	}
	if got, err := p.store.Get(ctx, key, 0, -1); err != nil || string(got) != fmt.Sprintf("racer %d", winner) {
		return bad(advice, "not honoured: a refused put's bytes are there (%v)", err)
	}
	return fine("honoured: %d raced for a key, one won", doctorRacers)
}

// checkPutLatency times puts of a small object: on the file store, what its fsyncs cost.
func (p probe) checkPutLatency(ctx context.Context) verdict {
	body := make([]byte, doctorBytes)
	took, err := timed(func(i int) error { return p.store.Put(ctx, p.timedKey(i), body) })
	if err != nil {
		return bad("see the error", "%v", err)
	}
	slow, mend, waits := slowDiskPut, "a faster disk makes it shorter", 2*took.median
	if !p.at.Local() {
		slow, waits = slowBucketPut, took.median
		mend = "a bucket in this machine's region, or S3 Express One Zone, makes it shorter"
	}
	if took.median > slow {
		return doubtful("producers wait that long for an acknowledgement; "+mend, "4 KiB, durable: %s", took)
	}
	return fine("4 KiB, durable: %s; a lone producer waits about %s for an acknowledgement", took, waits)
}

// checkGetLatency times reads of what checkPutLatency has put.
func (p probe) checkGetLatency(ctx context.Context) verdict {
	took, err := timed(func(i int) error {
		_, err := p.store.Get(ctx, p.timedKey(i), 0, doctorBytes)
		return err
	})
	if err != nil {
		return bad("see the error", "%v", err)
	}
	return fine("4 KiB: %s", took)
}

func (p probe) timedKey(i int) string { return fmt.Sprintf("%stimed-%d", p.prefix, i) }

// latency is what several requests took.
type latency struct{ median, worst time.Duration }

func (l latency) String() string { return fmt.Sprintf("median %s, worst %s", l.median, l.worst) }

// timed times requests, one after another.
func timed(request func(i int) error) (latency, error) {
	took := make([]time.Duration, doctorRequests)
	for i := range took {
		began := time.Now()
		if err := request(i); err != nil {
			return latency{}, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	const unit = 10 * time.Microsecond
	return latency{took[len(took)/2].Round(unit), took[len(took)-1].Round(unit)}, nil
}

// checkCoordinator says what a coordinator will recover from. It takes no incarnation: a doctor
// fences nobody.
func (p probe) checkCoordinator(ctx context.Context, url string) verdict {
	where, err := parseCoordinator(url)
	if err != nil {
		return bad("correct --coordinator", "%v", err)
	}
	coord, hangUp, err := where.open(ctx, coordinator.DefaultCommitDeadline)
	if err != nil {
		return bad("start it, or correct --coordinator", "%v", err)
	}
	defer hangUp()
	called, err := timed(func(int) error {
		_, err := coord.Generation(ctx)
		if errors.Is(err, coordinator.ErrNotOpen) {
			err = nil
		}
		return err
	})
	if err != nil {
		return bad("see the error", "%v", err)
	}
	if server, ok := coord.(*redis.Coordinator); ok {
		if full, err := redis.Full(ctx, server); err == nil && full != "" {
			return doubtful("raise maxmemory with CONFIG SET, and in redis.conf or the parameter group of a managed Redis",
				"%s: %s", where, full)
		}
	}
	counts := map[string]int{}
	for _, prefix := range []string{incarnations, journal} {
		for _, err := range p.store.List(ctx, prefix, "") {
			if err != nil {
				return bad("see the error", "%v", err)
			}
			counts[prefix]++
		}
	}
	call := ""
	if where.redis != nil {
		call = fmt.Sprintf("; a call takes: %s, and a lone produce makes two beside its puts", called)
	}
	if counts[incarnations] == 0 {
		return fine("%s; the bucket is new%s", where, call)
	}
	return fine("%s; it recovers from %d incarnations and %d journal objects%s", where, counts[incarnations],
		counts[journal], call)
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
