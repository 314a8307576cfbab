package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// Producers are slowed once what they may have of ingest's buffer is more than throttleFrom full,
// by up to maxThrottle when it is all full.
const (
	throttleFrom = 0.75
	maxThrottle  = time.Second
)

// throttle tells the client in an answer how many milliseconds to wait before it sends more. All
// answers pass here.
func (c *connection) throttle(r *request, resp kmsg.Response) {
	tells, can := resp.(kmsg.SetThrottleResponse)
	if !can || r.api == nil {
		return
	}
	if millis := c.throttleMillis(r.api.quota); millis > 0 {
		c.s.metrics.throttled.Inc()
		tells.SetThrottle(millis)
	}
}

// throttleMillis is how long a client has to wait that has used up so much of what a quota is
// about.
func (c *connection) throttleMillis(quota access.Quota) int32 {
	if quota != access.ProducedBytes {
		return 0 // the others have no limit
	}
	excess := (c.writes.Pressure() - throttleFrom) / (1 - throttleFrom)
	return int32(max(0, min(excess, 1)) * float64(maxThrottle.Milliseconds()))
}
