//go:build !race

package neighbours

import "time"

const (
	heartbeatFloor = 100 * time.Millisecond // what cannot be told from other load of the machine
	heartbeatLimit = time.Second
)
