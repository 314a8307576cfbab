package memory_test

import (
	"testing"

	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/segments/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) segments.Store { return memory.New() })
}
