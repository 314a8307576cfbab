package groups

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
)

// told maps an error of the coordinator to the error that a client gets: one after which it looks
// for the group's owner again, and tries again there.
func (m *Manager) told(err error) *kerr.Error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*kerr.Error](err); ok {
		return known
	}
	switch class := coordinator.ClassOf(err); {
	case class == coordinator.ClassNewLife, class == coordinator.ClassLater:
		return kerr.NotCoordinator
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return kerr.CoordinatorNotAvailable
	}
	m.failures.Do(func() { m.opts.Logger.Error("a consumer group's request failed", "error", err) })
	return kerr.CoordinatorNotAvailable
}
