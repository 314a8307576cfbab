//go:build !race

package kafka

import "time"

const (
	allocationFactor = 1
	heartbeatFloor   = 250 * time.Millisecond // what cannot be told from other load of the machine
	heartbeatLimit   = time.Second
)
