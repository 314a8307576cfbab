package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/replay"
	"firn.dev/segments"
	"firn.dev/segments/batch"
	"firn.dev/segments/file"
	"firn.dev/segments/memory"
)

// raise moves the log start of all partitions up.
func (w *world) raise(offset int64) {
	w.t.Helper()
	up := &coordinator.LogStart{Offsets: map[segments.Partition]int64{}}
	for i := range w.partitions {
		up.Offsets[segments.Partition{Topic: w.topic, Index: i}] = offset
	}
	if _, err := w.node.Change(w.t.Context(), coordinator.Change{LogStart: up}); err != nil {
		w.t.Fatal(err)
	}
}

// readFiles reads NDJSON files back, and checks that they fit together.
func readFiles(t *testing.T, store segments.Store) (map[int32][]int64, int) {
	t.Helper()
	offsets, files := map[int32][]int64{}, 0
	for o, err := range store.List(t.Context(), "orders-", "") {
		if err != nil {
			t.Fatal(err)
		}
		files++
		text, err := store.Get(t.Context(), o.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var r struct {
				Partition int32
				Offset    int64
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %q: %v", o.Key, line, err)
			}
			offsets[r.Partition] = append(offsets[r.Partition], r.Offset)
		}
	}
	return offsets, files
}

// dying is a store in which everything fails from the n-th call that writes on, as if the process
// had died.
type dying struct {
	segments.Store
	left int
}

var errDied = errors.New("died")

func (d *dying) step() error {
	if d.left--; d.left < 0 {
		return errDied
	}
	return nil
}

func (d *dying) Put(ctx context.Context, key string, body []byte) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.Store.Put(ctx, key, body)
}

func (d *dying) Create(ctx context.Context, key string) (segments.Upload, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	u, err := d.Store.Create(ctx, key)
	return dyingUpload{u, d}, err
}

func (d *dying) Clean(ctx context.Context, before time.Time) (int, error) {
	return segments.Clean(ctx, d.Store, before)
}

type dyingUpload struct {
	segments.Upload
	d *dying
}

func (u dyingUpload) Commit() error {
	if err := u.d.step(); err != nil {
		return err
	}
	return u.Upload.Commit()
}

func (dyingUpload) Abort() error { return nil }

// TestResume: a replay that dies at any step, again and again, while records go on being written
// and merged, ends with each record of its ranges once; files that were finished stay.
func TestResume(t *testing.T) {
	for _, kind := range []string{"memory", "file"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, memory.New(), 4)
			defer w.close()
			w.fill(80, 0)
			var ranges []replay.Range
			var target segments.Store = memory.New()
			if kind == "file" {
				f, err := file.Open(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				target = f
			}
			deaths := 0
			for steps := 1; ; steps++ {
				r := w.open(replay.Options{})
				w.fill(2, 0)
				if ranges == nil {
					ranges = r.Ranges()
				}
				err := runFiles(t.Context(), r, &dying{target, steps % 9})
				if err == nil {
					break
				}
				if deaths++; !errors.Is(err, errDied) || deaths > 1000 {
					t.Fatal(err)
				}
			}
			if deaths < 5 {
				t.Errorf("died %d times", deaths)
			}
			got, files := readFiles(t, target)
			if files < 8 {
				t.Errorf("%d files: they were not cut", files)
			}
			for _, g := range ranges {
				want := fmt.Sprint(offsetsOf(w.model()[g.Partition][:g.To]))
				if have := fmt.Sprint(got[g.Partition]); have != want {
					t.Errorf("partition %d: offsets %s, want %s", g.Partition, have, want)
				}
			}
			// What is complete does not cover what was written since, unless that is appended: each record
			// once.
			if err := runFiles(t.Context(), w.open(replay.Options{}), target); !errors.Is(err, replay.ErrComplete) {
				t.Errorf("called again: %v", err)
			}
			for steps := 1; ; steps++ {
				r := w.open(replay.Options{})
				err := appendFiles(t.Context(), r, &dying{target, steps % 7}, true)
				if err == nil {
					ranges = r.Ranges()
					break
				}
				if !errors.Is(err, errDied) || steps > 1000 {
					t.Fatal(err)
				}
			}
			got, _ = readFiles(t, target)
			for _, g := range ranges {
				want := fmt.Sprint(offsetsOf(w.model()[g.Partition][:g.To]))
				if have := fmt.Sprint(got[g.Partition]); have != want {
					t.Errorf("partition %d, appended to: offsets %s, want %s", g.Partition, have, want)
				}
			}
			if err := runFiles(t.Context(), w.open(replay.Options{}), target); err != nil {
				t.Errorf("complete, with nothing written since: %v", err)
			}
			other := w.open(replay.Options{From: replay.Offset(3)})
			_, err := replay.OpenFiles(t.Context(), target,
				replay.Job{Topic: "orders", TopicID: w.topic.String(), Request: "another",
					Format: "ndjson", Ranges: other.Ranges()})
			if !errors.Is(err, replay.ErrOtherJob) {
				t.Errorf("another job in the same place: %v", err)
			}
		})
	}
}

func offsetsOf(records []batch.Record) (offsets []int64) {
	for i := range records {
		offsets = append(offsets, records[i].Offset)
	}
	return offsets
}

// runFiles begins or goes on with a replay into files of 4 KiB.
func runFiles(ctx context.Context, r *replay.Replay, store segments.Store) error {
	return appendFiles(ctx, r, store, false)
}

func appendFiles(ctx context.Context, r *replay.Replay, store segments.Store, more bool) error {
	files, err := replay.OpenFiles(ctx, store, replay.Job{Topic: "orders", TopicID: r.Topic().ID.String(), Request: "all",
		Format: "ndjson",
		Ranges: r.Ranges(), Append: more})
	if err != nil {
		return err
	}
	files.Use(replay.NDJSON("orders"), 4<<10)
	r.SetRanges(files.Left())
	if err := r.Run(ctx, files); err != nil {
		return err
	}
	return files.Succeed(ctx)
}
