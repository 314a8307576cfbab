package main

import (
	"os"
	"runtime/debug"
)

// gcPercent trades a little CPU for a smaller process. Nearly all of a node's live memory is
// batches and cached blocks, a few large byte slices that cost the collector next to nothing to
// mark, so collecting twice as often as Go's default is cheap.
const gcPercent = 50

// boundMemory sets the collector for a server, unless GOGC does.
func boundMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
