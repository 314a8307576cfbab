//go:build race

package kafka

import "time"

// With the race detector small allocations are not put together, and everything takes several times
// as long.
const (
	allocationFactor = 2
	HeartbeatFloor   = 5 * time.Second
	HeartbeatLimit   = 5 * time.Second
)
