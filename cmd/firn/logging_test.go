package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/segments"
)

// TestRepeatedWarningsAreSummedUp holds that a warning is written at once, that none is lost
// without being counted, and that other warnings and news are not held up.
func TestRepeatedWarningsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newLogger(&out, "json", slog.LevelInfo).With("life", "one")
		wrong := func(attempt int) { log.Warn("it fails", "attempt", attempt, "error", errors.New("no")) }
		for attempt := range 5 {
			wrong(attempt)
			time.Sleep(time.Second)
		}
		log.Warn("it fails", "dependency", "another")
		log.Info("news")
		log.Info("news")
		time.Sleep(repeatsWithin)
		synctest.Wait()
		wrong(7)
		time.Sleep(2 * repeatsWithin)
		synctest.Wait()
		wrong(8)
		time.Sleep(2 * repeatsWithin)
		synctest.Wait()

		type line struct {
			Msg        string
			Attempt    *int
			Dependency string
			Repeated   int
		}
		var lines []line
		for text := range bytes.Lines(out.Bytes()) {
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, l)
		}
		want := []line{{"it fails", new(0), "", 0}, {"it fails", nil, "another", 0}, {"news", nil, "", 0},
			{"news", nil, "", 0}, {"it fails", new(4), "", 4}, {"it fails", new(7), "", 1}, {"it fails", new(8), "", 0}}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestLogsNameIDs(t *testing.T) {
	var out bytes.Buffer
	id := segments.NewTopicID()
	newLogger(&out, "json", slog.LevelInfo).Info("seen", "topic", id, "took", time.Second, "error", errors.New("no"))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	want := map[string]any{"level": "INFO", "msg": "seen", "topic": id.String(), "took": 1e9, "error": "no"}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
