package kafka

import (
	"context"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/access/quota"
)

// A client that is over a quota is answered, told in the answer how long to wait
// (throttle_time_ms), and its connection is not read from for so long (KIP-219): a client that does
// not wait gains nothing by that. Its other connections go on until they are answered.

// Producers are slowed as well once what they may have of ingest's buffer is more than throttleFrom
// full, by up to maxThrottle when it is all full. The answer only says so; the connection is read
// on.
const (
	throttleFrom = 0.75
	maxThrottle  = time.Second
)

// quotaClient is the client as quotas know it.
func quotaClient(client access.Client, clientID string) quota.Client {
	return quota.Client{User: client.Principal.Name, ClientID: clientID}
}

// use counts what the client of a request has used, and mutes the connection if that was too much.
func (c *connection) use(r *request, q access.Quota, amount float64) {
	wait := c.s.opts.Quotas.Use(q, quotaClient(r.asks.Client, r.clientID), amount)
	if wait <= 0 {
		return
	}
	c.s.metrics.overQuota.WithLabelValues(q.String()).Inc()
	if until := time.Now().Add(wait).UnixNano(); until > c.mutedUntil.Load() {
		c.mutedUntil.Store(until)
	}
}

// muted is how long the connection is not read from.
func (c *connection) muted() time.Duration {
	until := c.mutedUntil.Load()
	if until == 0 {
		return 0
	}
	return max(time.Until(time.Unix(0, until)), 0)
}

// awaitQuota has the reader wait while the connection is muted.
func (c *connection) awaitQuota(ctx context.Context) error {
	for wait := c.muted(); wait > 0; wait = c.muted() {
		select {
		case <-time.After(wait):
		case <-c.s.draining:
			return os.ErrDeadlineExceeded // as if nothing more had come
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// turnAway ends a connection that is one too many of its address, after some time: a client that
// tries again at once would only add to it. It counts among the connections of the address.
func (c *connection) turnAway(ctx context.Context) {
	c.s.metrics.overQuota.WithLabelValues(access.Connections.String()).Inc()
	select {
	case <-time.After(c.refused):
	case <-c.s.draining:
	case <-ctx.Done():
	}
}

// charge counts the cost of a request that was served. The bytes of a Produce are counted before.
func (c *connection) charge(r *request, resp kmsg.Response) {
	if r.api == nil || r.api.quota == access.Unthrottled {
		return
	}
	switch r.api.quota {
	case access.FetchedBytes:
		if fetched, is := resp.(interface{ recordBytes() int }); is {
			c.use(r, access.FetchedBytes, float64(fetched.recordBytes()))
		}
	case access.Mutations:
		c.use(r, access.Mutations, 0) // counted where they are made: see mutates
	}
	if r.produce == nil && !r.api.parks && !waiting[r.api.key] {
		r.worked = c.peer.work.worked()
	}
	c.use(r, access.Requests, r.worked.Seconds())
}

// throttle tells the client in an answer how many milliseconds to wait before it asks for more. All
// answers pass here.
func (c *connection) throttle(r *request, resp kmsg.Response) {
	tells, can := resp.(kmsg.SetThrottleResponse)
	if !can || r.api == nil || r.api.quota == access.Unthrottled {
		return
	}
	millis := (c.muted() + time.Millisecond - 1).Milliseconds()
	if r.api.quota == access.ProducedBytes {
		millis = max(millis, c.pressureMillis())
	}
	if millis > 0 {
		c.s.metrics.throttled.Inc()
		tells.SetThrottle(int32(millis))
	}
}

// pressureMillis is how long a producer has to wait that has filled so much of ingest's buffer.
func (c *connection) pressureMillis() int64 {
	excess := (c.writes.Pressure() - throttleFrom) / (1 - throttleFrom)
	return int64(max(0, min(excess, 1)) * float64(maxThrottle.Milliseconds()))
}

// waiting are the APIs whose handlers mostly wait, for the coordinator or for the bucket: as in
// Kafka, only the time that a node computes counts against request_percentage. Fetch and Produce
// measure for themselves, and those that park count nothing.
var waiting = map[kmsg.Key]bool{
	kmsg.CreateTopics: true, kmsg.DeleteTopics: true, kmsg.CreatePartitions: true, kmsg.DeleteRecords: true,
	kmsg.AlterConfigs: true, kmsg.IncrementalAlterConfigs: true, kmsg.AlterPartitionAssignments: true,
	kmsg.CreateACLs: true, kmsg.DeleteACLs: true, kmsg.AlterUserSCRAMCredentials: true, kmsg.AlterClientQuotas: true,
	kmsg.InitProducerID: true, kmsg.FindCoordinator: true, kmsg.ListOffsets: true,
	kmsg.OffsetCommit: true, kmsg.OffsetFetch: true, kmsg.OffsetDelete: true, kmsg.DeleteGroups: true,
	kmsg.Heartbeat: true, kmsg.LeaveGroup: true, kmsg.ConsumerGroupHeartbeat: true,
	kmsg.ShareGroupHeartbeat: true, kmsg.ShareAcknowledge: true,
}

// stopwatch measures what a request costs, without its waits.
type stopwatch struct {
	began  time.Time
	waited time.Duration
}

func (w *stopwatch) worked() time.Duration { return max(time.Since(w.began)-w.waited, 0) }

// mutates counts partitions that a client is about to create or delete, or configs that it is about
// to set or delete on what is no topic. A strict request is refused while the client is over its
// quota; one of an older version is served, and the client throttled (KIP-599).
func (s *Server) mutates(from *peer, strict bool, many int) *refusal {
	by := quotaClient(from.asks.Client, from.ClientID)
	if strict && s.opts.Quotas.Wait(access.Mutations, by) > 0 {
		return refuse(kerr.ThrottlingQuotaExceeded,
			"the quota %s of %s is used up; try again later", access.Mutations, from.asks.Client.Principal)
	}
	s.opts.Quotas.Use(access.Mutations, by, float64(many))
	return nil
}

// fetchMost is how many bytes a client may fetch at once: as many as its quota allows in a second,
// so that it is not muted for long.
func (s *Server) fetchMost(from *peer, asked int) int {
	rate, limited := s.opts.Quotas.Rate(access.FetchedBytes, quotaClient(from.asks.Client, from.ClientID))
	if !limited || rate >= float64(asked) {
		return asked
	}
	return max(int(rate), 1)
}
