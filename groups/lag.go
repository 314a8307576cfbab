package groups

import (
	"firn/coordinator"
	"firn/segments"
)

// lag is how many records of a partition a group has not read: from what it has committed, or from the log start, to the high watermark.
func lag(view *coordinator.View, group string, at segments.Partition) int64 {
	info, exists := view.Partition(at)
	if !exists {
		return 0
	}
	from := info.LogStart
	if committed, there := view.Committed(group, at); there {
		from = max(from, committed.Offset)
	}
	return max(0, info.HighWatermark-from)
}
