package groups_test

import (
	"testing"

	"firn.dev/coordinator"
	"firn.dev/groups"
)

// TestUnread: what a group has not read is what is behind its offset, or behind the log start; of a
// share group without what is finished.
func TestUnread(t *testing.T) {
	for name, c := range map[string]struct {
		offset, logStart, highWatermark int64
		metadata                        string
		want                            int64
	}{
		"some":                          {4, 0, 10, "", 6},
		"all but what is deleted":       {4, 7, 10, "", 3},
		"nothing yet":                   {0, 0, 10, "words of the client's", 10},
		"a number of the client's own":  {-5, 2, 10, "", 8},
		"beyond the end":                {12, 0, 10, "", 0},
		"shared":                        {4, 0, 10, "firn-share-1:1a1 2f", 4},
		"shared, in part below its log": {4, 6, 10, "firn-share-1:1a1 2f", 3},
		"shared, all below its log":     {4, 8, 10, "firn-share-1:1a1 2f", 2},
		"what looks like it":            {4, 0, 10, "firn-share-1:1x", 6},
	} {
		got := groups.Unread(coordinator.CommittedOffset{
			GroupOffset: coordinator.GroupOffset{Offset: c.offset, Metadata: c.metadata}},
			coordinator.PartitionInfo{LogStart: c.logStart, HighWatermark: c.highWatermark})
		if got != c.want {
			t.Errorf("%s: %d records, want %d", name, got, c.want)
		}
	}
}
