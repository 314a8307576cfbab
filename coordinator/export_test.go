package coordinator

import "time"

// Embedded is the coordinator of package embedded, for tests of this package: they cannot import
// it, because it imports this package. embedded_test.go makes one.
type Embedded interface {
	Coordinator
	Copy() Embedded
}

// EmbeddedOptions are those options of package embedded that tests of this package use.
type EmbeddedOptions struct {
	Clock          func() time.Time
	CommitDeadline time.Duration
	Retain         int
}

// NewEmbedded returns an Embedded.
var NewEmbedded func(EmbeddedOptions) Embedded
