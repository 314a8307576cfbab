package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"firn.dev/coordinator"
)

// What a caller may conclude from an error does not depend on how it was wrapped, and an error that
// nobody foresaw promises nothing.
func TestClassOf(t *testing.T) {
	for err, want := range map[error]coordinator.Class{
		coordinator.ErrFenced: coordinator.ClassNewLife, coordinator.ErrNotOpen: coordinator.ClassNewLife,
		coordinator.ErrUnknownTopic: coordinator.ClassFinal, coordinator.ErrOutOfOrder: coordinator.ClassFinal,
		coordinator.ErrTooOld: coordinator.ClassLater, coordinator.ErrLeaseHeld: coordinator.ClassLater,
		coordinator.ErrClosed: coordinator.ClassLater, coordinator.ErrUnavailable: coordinator.ClassInDoubt,
		context.Canceled: coordinator.ClassInDoubt, context.DeadlineExceeded: coordinator.ClassInDoubt,
		errors.New("no such error"): coordinator.ClassInDoubt,
	} {
		if got := coordinator.ClassOf(fmt.Errorf("while testing: %w", err)); got != want {
			t.Errorf("%v: class %d, want %d", err, got, want)
		}
	}
}
