package coordinator_test

import (
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
)

// inMemory is the coordinator of package embedded, as tests inside of package coordinator see it.
type inMemory struct{ *embedded.Coordinator }

func (c inMemory) Copy() coordinator.Embedded { return inMemory{c.Coordinator.Copy()} }

func init() {
	coordinator.NewEmbedded = func(o coordinator.EmbeddedOptions) coordinator.Embedded {
		return inMemory{embedded.New(embedded.Options{Clock: o.Clock, CommitDeadline: o.CommitDeadline, Retain: o.Retain})}
	}
}
