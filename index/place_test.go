package index_test

import (
	"testing"
	"time"

	"firn.dev/index"
)

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]index.Place{
		"earliest": index.Earliest, "latest": index.Latest, "0": index.AtOffset(0), "17": index.AtOffset(17),
		"2026-01-31T12:00:00Z":        index.AtTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)),
		"2026-01-31T13:00:00.5+01:00": index.AtTime(time.Date(2026, 1, 31, 12, 0, 0, 5e8, time.UTC)),
	} {
		got, err := index.ParsePlace(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if again, err := index.ParsePlace(got.String()); err != nil || again != got {
			t.Errorf("%s: %v is read as %v, %v", text, got, again, err)
		}
	}
	if offset, is := index.AtTime(time.Now()).Offset(); is || offset != 0 {
		t.Errorf("a time is the offset %d", offset)
	}
	if millis, is := index.AtOffset(17).Millis(); is || millis != 0 {
		t.Errorf("an offset is the time %d", millis)
	}
	for _, text := range []string{"", "-1", "now", "9223372036854775808", "2026-01-31", "Earliest"} {
		if got, err := index.ParsePlace(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
