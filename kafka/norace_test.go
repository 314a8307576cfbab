//go:build !race

package kafka

import "time"

const (
	allocationFactor = 1
	HeartbeatFloor   = 250 * time.Millisecond // what cannot be told from other load of the machine
	HeartbeatLimit   = time.Second
)
