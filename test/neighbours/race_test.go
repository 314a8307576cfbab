//go:build race

package neighbours

import "time"

// With the race detector, a server and its attackers take several times as long for everything, on
// the same cores.
const (
	heartbeatFloor = 10 * time.Second
	heartbeatLimit = 10 * time.Second
)
