package redis

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Open implements coordinator.Log. It loads the state under the keys of a new generation; then one
// script makes that the current one, unless anything came between: see load.lua and open.lua.
//
// That script takes effect once, whatever becomes of the request. It is sent again only if the
// server has said that it did not run it (NOSCRIPT, MOVED, ASK). A copy of the request that arrives
// late or twice finds another generation current; or, if that is lost, then the parts that it would
// open are lost with it, or the server is another one than before. In each case it is refused.
func (c *Coordinator) Open(ctx context.Context, state *coordinator.State) error {
	if err := c.checkServers(ctx); err != nil {
		return err // a failover may have led to a server that evicts
	}
	before, err := c.look(ctx)
	if err != nil {
		return err
	}
	if before.generation != "" {
		if now, err := coordinator.ParseGeneration(before.generation); err != nil || now.Incarnation >= state.Incarnation() {
			return errors.Join(fmt.Errorf("%w (%s is open)", coordinator.ErrIncarnation, before.generation), err)
		}
	}
	if before.cluster != "" && before.cluster != state.ClusterID() {
		return c.otherCluster(before.cluster, state.ClusterID())
	}
	opening := coordinator.NewGeneration(state.Incarnation())
	g := c.shard.generation(opening.String())
	l := loading{c: c, ctx: ctx, g: g, server: before.server}
	if err := l.load(state, before); err != nil {
		return err
	}
	if err := state.BeginOpening(opening); err != nil {
		return err
	}
	old := c.shard.generation(before.generation)
	_, err = c.run(ctx, openScript, []string{c.shard.current(), g.counters(), old.stream()},
		g.name, before.server, l.parts, state.ClusterID(), before.generation)
	if errors.Is(err, coordinator.ErrUnavailable) {
		return fmt.Errorf("%w: %w", coordinator.ErrOpening, err)
	}
	if err != nil {
		return err
	}
	c.known.Store(&opening)
	c.removeOld(ctx, g, before.now)
	return nil
}

func (c *Coordinator) otherCluster(theirs, ours string) error {
	return fmt.Errorf("%w: prefix %q is that of cluster %s, the bucket's is %s; "+
		"give this cluster another prefix, or delete the keys %s:* if the other is gone",
		coordinator.ErrOtherCluster, c.opts.Prefix, theirs, ours, c.shard.tag)
}

// loading is one load of a state.
type loading struct {
	c      *Coordinator
	ctx    context.Context
	g      generation
	server string
	parts  int
	err    error // the first; nothing is loaded after it

	// The part that is being gathered: keys, for each a command and its arguments.
	keys    []string
	args    []any
	command string // of the last key
	count   int    // where in args the number of its arguments stands
	bytes   int
}

// A part is one script call: long enough to be worth it, short enough not to hold others up.
const (
	partArgs  = 2000
	partBytes = 256 << 10
)

func (l *loading) load(state *coordinator.State, at looked) error {
	l.topics(state)
	l.partitions(state)
	l.keyed(state, at)
	l.requests(state, at)
	l.commits(state, at)
	l.ids(state)
	l.hset(l.g.counters(), "producer_ids", state.NextProducerID())
	l.hset(l.g.counters(), "offsets_version", state.OffsetsVersion())
	l.hset(l.g.counters(), "settings_version", state.SettingsVersion())
	l.hset(l.g.counters(), "txns_version", state.TransactionsVersion())
	l.hset(l.g.counters(), "stream_keep", l.c.opts.RetainBytes)
	l.flush()
	return l.err
}

func (l *loading) topics(state *coordinator.State) {
	live := map[string]segments.TopicID{}
	for t := range state.Topics() {
		id := string(t.ID[:])
		l.hset(l.g.topics(), id, coordinator.AppendFact(nil, &coordinator.Fact{Incarnation: state.Incarnation(), Topic: &t}))
		if !t.Deleted {
			live[t.Name] = t.ID // of two the one with the higher id, as in State
		}
	}
	for t := range state.Topics() {
		usable := t.Partitions
		if t.Deleted {
			usable = -1
		}
		l.hset(l.g.usable(), string(t.ID[:]), usable)
	}
	for name, id := range live {
		l.hset(l.g.names(), name, id[:])
	}
}

func (l *loading) partitions(state *coordinator.State) {
	for at, p := range state.Partitions() {
		l.hset(l.g.ends(), partitionField(at), p.End)
	}
	for at, p := range state.Partitions() {
		if p.LogStart > 0 {
			l.hset(l.g.starts(), partitionField(at), p.LogStart)
		}
	}
	for at, p := range state.Partitions() {
		if p.Merges > 0 {
			l.hset(l.g.merges(), partitionField(at), p.Merges)
		}
	}
	for at, p := range state.Partitions() {
		key := l.g.producers(partitionField(at))
		for rest := p.Producers; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].ProducerID == rest[0].ProducerID {
				n++
			}
			l.hset(key, producerField(rest[0].ProducerID), appendProducer(nil, rest[:n]))
			rest = rest[n:]
		}
	}
}

// keyed loads the requests that partitions remember.
func (l *loading) keyed(state *coordinator.State, now looked) {
	expiration := l.c.opts.KeyExpiration
	half := expiration.Milliseconds() / 2
	for at, requests := range state.Keyed() {
		slots := map[int64][]coordinator.Keyed{} // by window
		for _, k := range requests {
			if k.Time >= now.now.Add(-expiration).UnixMilli() {
				window := min(k.Time, now.now.UnixMilli()) / half
				slots[window] = append(slots[window], k)
			}
		}
		for _, window := range slices.Sorted(maps.Keys(slots)) {
			slot := l.g.keySlot(at, window%keySlots)
			for i := range slots[window] {
				l.hset(slot, string(slots[window][i].ID[:]), appendKeyed(nil, &slots[window][i]))
			}
			over := time.UnixMilli((window + 1) * half).Add(expiration)
			l.expire(slot, over.Sub(now.now))
		}
	}
}

// requests loads what topics know of them, whichever partitions remember them.
func (l *loading) requests(state *coordinator.State, now looked) {
	type slot struct {
		topic  segments.TopicID
		window int64
	}
	expiration := l.c.opts.KeyExpiration
	half := expiration.Milliseconds() / 2
	slots := map[slot][]coordinator.KeyedRequest{}
	for q := range state.Requests() {
		if q.Time >= now.now.Add(-expiration).UnixMilli() {
			in := slot{q.Topic, min(q.Time, now.now.UnixMilli()) / half}
			slots[in] = append(slots[in], q)
		}
	}
	for in, requests := range slots {
		key := l.g.requestSlot(in.topic, in.window%keySlots)
		for i := range requests {
			l.hset(key, string(requests[i].ID[:]), appendRequest(nil, &requests[i]))
		}
		l.expire(key, time.UnixMilli((in.window+1)*half).Add(expiration).Sub(now.now))
	}
}

// commits loads what survived of segments that may still be committed again.
func (l *loading) commits(state *coordinator.State, at looked) {
	deadline := l.c.opts.CommitDeadline
	young := state.Young(at.now.Add(-deadline).Truncate(time.Second)) // each second whole, or not at all
	var seconds []byte
	for _, second := range state.CommitSeconds() {
		seconds = binary.BigEndian.AppendUint32(seconds, uint32(second))
	}
	l.hset(l.g.counters(), "seconds", seconds)
	ids := slices.SortedFunc(maps.Keys(young), func(a, b segments.ID) int { return bytes.Compare(a[:], b[:]) })
	for i, id := range ids {
		key := l.g.commits(id)
		l.hset(key, string(id[:]), appendRecovered(nil, young[id]))
		if i+1 == len(ids) || l.g.commits(ids[i+1]) != key {
			l.expire(key, time.Unix(id.Time().Unix()+2, 0).Add(deadline).Sub(at.now))
		}
	}
}

// ids loads transactional ids, and where their transactions are open.
func (l *loading) ids(state *coordinator.State) {
	for t := range state.TransactionalIDs() {
		l.hset(l.g.ids(), t.ID, coordinator.AppendFact(nil, &coordinator.Fact{Incarnation: state.Incarnation(),
			TransactionalID: t}))
		if !t.Gone {
			l.hset(l.g.writers(), producerField(t.ProducerID), t.ID)
		}
	}
	for t, open := range state.TransactionalIDs() {
		if t.Gone {
			continue
		}
		key := l.g.transaction(t.ProducerID)
		l.hset(key, "writer", appendWriter(nil, t))
		l.hset(key, "added", packedPartitions(t.Added))
		for at, last := range open {
			l.hset(key, partitionField(at), last)
		}
	}
}

func (l *loading) hset(key, field string, value any) { l.add("HSET", key, field, value) }

// add adds two arguments to the command on a key.
func (l *loading) add(command, key, first string, second any) {
	l.begin(command, key)
	l.args[l.count] = l.args[l.count].(int) + 2
	l.args = append(l.args, first, second)
	l.bytes += len(first) + 16
	if b, ok := second.([]byte); ok {
		l.bytes += len(b)
	}
	l.end()
}

// expire makes a key that was loaded go by itself.
func (l *loading) expire(key string, after time.Duration) {
	l.begin("EXPIRE", key)
	l.args[l.count] = 1
	l.args = append(l.args, int64(math.Ceil(after.Seconds())))
	l.end()
}

// begin begins a command on a key, unless it goes on.
func (l *loading) begin(command, key string) {
	if len(l.keys) == 0 || l.keys[len(l.keys)-1] != key || l.command != command {
		l.keys, l.command = append(l.keys, key), command
		l.args = append(l.args, command, 0)
		l.count = len(l.args) - 1
	}
}

// end loads the part when it is long enough.
func (l *loading) end() {
	if len(l.args) >= partArgs || l.bytes >= partBytes {
		l.flush()
	}
}

// flush loads the part.
func (l *loading) flush() {
	if len(l.keys) == 0 || l.err != nil {
		return
	}
	keys := append([]string{l.c.shard.current(), l.g.counters(), l.c.shard.generations()}, l.keys...)
	args := append([]any{l.g.name, l.server, l.parts}, l.args...)
	_, l.err = l.c.run(l.ctx, loadScript, keys, args...)
	l.parts++
	l.keys, l.args, l.bytes = nil, nil, 0
}

// removeOld removes the keys of generations that can never be current again. The state is
// open by now: keys that are left over, because it fails half-way, do no harm, and the
// next call finds them.
func (c *Coordinator) removeOld(ctx context.Context, current generation, now time.Time) {
	names, err := c.client.ZRange(ctx, c.shard.generations(), 0, -1).Result()
	if err != nil {
		return
	}
	ours, _ := coordinator.ParseGeneration(current.name)
	for _, name := range names {
		other, err := coordinator.ParseGeneration(name)
		if err == nil && other.Incarnation > ours.Incarnation || name == current.name {
			continue
		}
		if c.remove(ctx, c.shard.generation(name), now) != nil {
			return
		}
	}
}

func (c *Coordinator) remove(ctx context.Context, g generation, now time.Time) error {
	const atOnce = 500
	cursor := uint64(0)
	for {
		found, next, err := c.client.HScan(ctx, g.ends(), cursor, "", atOnce).Result()
		if err != nil {
			return err
		}
		var keys []string
		for i := 0; i < len(found); i += 2 {
			if len(found[i]) == partitionLen {
				keys = append(keys, g.ofPartition(parsePartition(found[i]))...)
			}
		}
		if len(keys) > 0 {
			if err := c.client.Unlink(ctx, keys...).Err(); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	if err := c.removeTransactions(ctx, g); err != nil {
		return err
	}
	keys := g.all()
	deadline := int64(c.opts.CommitDeadline.Seconds()) + 1
	for second := now.Unix() - deadline; second <= now.Unix()+deadline; second++ {
		keys = append(keys, g.commitsOf(second))
	}
	for some := range slices.Chunk(keys, atOnce) {
		if err := c.client.Unlink(ctx, some...).Err(); err != nil {
			return err
		}
	}
	return c.client.ZRem(ctx, c.shard.generations(), g.name).Err()
}

// ErrEvicts says that a Redis may throw away keys that it needs.
var ErrEvicts = errors.New("this Redis may evict keys")

// checkServers looks whether any of the servers that may hold our keys would evict them
// when it is full.
func (c *Coordinator) checkServers(ctx context.Context) error {
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			return checkServer(ctx, master, c.opts.TLS != nil)
		})
		if redis.HasErrorPrefix(err, "This instance has cluster support disabled") {
			return fmt.Errorf("redis: %w; this is no Redis Cluster: leave cluster=true out", err)
		}
		return err
	}
	return checkServer(ctx, c.client, c.opts.TLS != nil)
}

// explainInfo tells a server that may answer later from one that an operator has to let
// this node in to.
func explainInfo(err error, encrypted bool) error {
	for _, prefix := range []string{"WRONGPASS", "NOAUTH", "NOPERM", "ERR"} {
		if redis.HasErrorPrefix(err, prefix) {
			return fmt.Errorf("redis: %w; check the user, its password and what it may do", err)
		}
	}
	err = translate("INFO", err)
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	if encrypted { // why it did so is lost with the connection
		return fmt.Errorf("%w (it closed the connection: if it asks for certificates, give cert and key)", err)
	}
	return fmt.Errorf("%w (it closed the connection: if this port speaks TLS, give rediss://)", err)
}

func checkServer(ctx context.Context, server redis.Cmdable, encrypted bool) error {
	info, err := server.Info(ctx, "memory").Result()
	if err != nil {
		return explainInfo(err, encrypted)
	}
	_, policy, found := strings.Cut(info, "maxmemory_policy:")
	policy, _, _ = strings.Cut(policy, "\r\n")
	if found && policy != "noeviction" {
		return fmt.Errorf("%w: its maxmemory-policy is %s; set it with CONFIG SET maxmemory-policy noeviction, "+
			"in redis.conf, or in the parameter group of a managed Redis",
			ErrEvicts, policy)
	}
	return nil
}
