package memory_test

import (
	"testing"

	"firn/segments"
	"firn/segments/memory"
	"firn/segments/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) segments.Store { return memory.New() })
}
