package cleanup

import (
	"iter"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments"
)

func all(spans []coordinator.Span) iter.Seq2[coordinator.Span, error] {
	return func(yield func(coordinator.Span, error) bool) {
		for _, s := range spans {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// TestExpired: minutes are of the largest timestamps; the time is 100.
func TestExpired(t *testing.T) {
	now := time.UnixMilli(100 * time.Minute.Milliseconds())
	for _, test := range []struct {
		name, spans   string
		policy        string
		minutes, size string // of retention; empty: none
		want          int64
	}{
		{"nothing there", "", "delete", "60000", "", 0},
		{"all is kept", "M1M#10 M1M#20", "delete", "-1", "-1", 0},
		{"old ones go", "M1M#10 M1M#20 M1M#90 m1M#95", "delete", "3600000", "", 20},
		{"all are old", "M1M#10 M1M#20 m1M#30", "delete", "3600000", "", 30},
		{"at the limit they stay", "M1M#40 M1M#41", "delete", "3600000", "", 0},
		{"a young one stops it", "M1M#10 M1M#90 M1M#20", "delete", "3600000", "", 10},
		{"a future one stops it", "M1M#200 M1M#20", "delete", "3600000", "", 0},
		{"what may be committed again stays", "M1M#10 m1M@3#20 m1M#20", "delete", "3600000", "", 10},
		{"large ones go", "M1M#90 M1M#90 M1M#90 M1M#90", "delete", "-1", "2097152", 20},
		{"never below the size", "M1M#90 M1M#90 M1M#90 M1M#90", "delete", "-1", "2097153", 10},
		{"of size nothing is left", "M1M#90 M1M#90", "delete", "-1", "0", 20},
		{"both", "M1M#10 M1M#90 M1M#90", "delete", "3600000", "1048576", 20},
		{"compacted topics keep all", "M1M#10 M1M#20", "compact", "60000", "0", 0},
		{"compacted ones that delete do not", "C1M#10 C1M#90", "compact,delete", "3600000", "", 10},
		{"index objects go whole", "L9M#10 M1M#20 M1M#90", "delete", "3600000", "", 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := map[string]string{"cleanup.policy": test.policy}
			if test.minutes != "" {
				set["retention.ms"] = test.minutes
			}
			if test.size != "" {
				set["retention.bytes"] = test.size
			}
			config, err := topicconfig.Parse(set)
			if err != nil {
				t.Fatal(err)
			}
			spans := layout(t, now, test.spans)
			info := coordinator.PartitionInfo{Bytes: sumLength(spans)}
			got, err := expired(all(spans), info, config, now, now.Add(-6*time.Minute))
			if err != nil || got != test.want {
				t.Errorf("the log starts at %d, %v; should be %d", got, err, test.want)
			}
		})
	}
}

// An object goes when a look returned it that ended a grace before this one began, and not when it
// was needed in between.
func TestSift(t *testing.T) {
	g := &collector{c: &Cleaner{opts: Options{Grace: time.Minute}}}
	now := time.Now()
	sift := func(seconds int, keys ...string) (due string) {
		var found []segments.Object
		for _, key := range keys {
			found = append(found, segments.Object{Key: key})
		}
		begun := now.Add(time.Duration(seconds) * time.Second)
		for _, o := range g.sift(found, begun, begun.Add(5*time.Second)) {
			due += o.Key
		}
		return due
	}
	for i, step := range []struct {
		seconds int
		found   []string
		due     string
	}{
		{0, []string{"a", "b"}, ""},
		{60, []string{"a", "b", "c"}, ""}, // the first look had ended at 5
		{65, []string{"a", "c"}, "a"},
		{70, []string{"a", "b", "c"}, "a"}, // its deletion failed
		{125, []string{"b", "c"}, "c"},
		{135, []string{"b", "c"}, "bc"},
	} {
		if due := sift(step.seconds, step.found...); due != step.due {
			t.Errorf("step %d: %q is due, should be %q", i, due, step.due)
		}
	}
}
