package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The strikes at a cluster. Each ends with everything running again.
const (
	KillNode Strike = "kill-node" // kill -9 of a node, which comes back after a while
	StopNode Strike = "stop-node" // SIGTERM of a node: it drains with exit status 0
	// a node is frozen and thaws; sometimes Redis is emptied meanwhile, so that it thaws fenced
	PauseNode   Strike = "pause-node"
	KillRedis   Strike = "kill-redis"   // kill -9 of Redis, which keeps nothing and comes back empty
	FlushRedis  Strike = "flush-redis"  // FLUSHALL
	RewindRedis Strike = "rewind-redis" // Redis comes back with an old dump
	PauseRedis  Strike = "pause-redis"  // Redis is frozen and thaws
	KillMinIO   Strike = "kill-minio"   // kill -9 of MinIO, which comes back with its data
	CutRedis    Strike = "cut-redis"    // nodes do not reach Redis, in turn or both
	CutMinIO    Strike = "cut-minio"    // nodes do not reach MinIO, in turn or both
	CutAll      Strike = "cut-all"      // a node reaches nothing
	LoseReply   Strike = "lose-reply"   // Redis carries a call out, and nobody hears so: each call in turn
	// a replica that has not heard the last takes over from Redis, at times for some nodes before
	// others, or only for a while
	Failover   Strike = "failover"
	FillRedis  Strike = "fill-redis"  // Redis may use no more memory than it does
	StormMinIO Strike = "storm-minio" // MinIO refuses all requests, or some, with 503 SlowDown
	JumpClock  Strike = "jump-clock"  // a node's clock is a day ahead, and then right again
	// packets between a node and Redis, MinIO or its clients go nowhere, in one direction or both:
	// nobody is told
	Partition Strike = "partition"
	// every node in turn is drained and comes back, as a rolling update has it: minutes, so only when
	// asked for
	RollNodes Strike = "roll-nodes"
)

// ClusterStrikes are all of them.
var ClusterStrikes = []Strike{KillNode, StopNode, PauseNode, KillRedis, FlushRedis, RewindRedis, PauseRedis, KillMinIO,
	CutRedis, CutMinIO, CutAll,
	LoseReply, Failover, FillRedis, StormMinIO, JumpClock, Partition}

// striker strikes a cluster.
type striker struct {
	*cluster
	random   *rand.Rand
	maxPause time.Duration // of anything that is frozen, cut off or down
	dumped   bool          // there is an old dump of Redis
	table    Table
	calls    []string // whose replies are lost next
	guest    *guest
	admin    *kadm.Client
}

// newStriker prepares to strike. Somebody has to close it.
func newStriker(ctx context.Context, cl *cluster, c *crowd, opts ClusterOptions, table Table) (*striker, error) {
	guest, err := newGuest(ctx, cl)
	if err != nil {
		return nil, err
	}
	calls, err := c.client()
	if err != nil {
		guest.close()
		return nil, err
	}
	return &striker{cluster: cl, random: rand.New(rand.NewPCG(opts.Seed, 0)), maxPause: opts.MaxPause, table: table,
		guest: guest, admin: kadm.NewClient(calls)}, nil
}

func (s *striker) close() {
	s.admin.Close()
	s.guest.close()
}

// note says what a strike did in particular, in its row.
func (s *striker) note(kind Strike, format string, args ...any) {
	s.table.row(kind).Notes[fmt.Sprintf(format, args...)]++
}

// pause is how long something stays away: mostly short, at times up to the maximum.
func (s *striker) pause() time.Duration {
	most := s.maxPause
	if s.random.IntN(3) > 0 {
		most /= 8
	}
	return time.Duration(s.random.Int64N(int64(most) + 1))
}

func (s *striker) any() *member { return s.nodes[s.random.IntN(len(s.nodes))] }

// strike carries one strike out, and returns when everything runs again.
func (s *striker) strike(ctx context.Context, kind Strike) error {
	switch kind {
	case KillNode:
		s.any().kill()
		return s.again(ctx, s.startNodes)
	case StopNode:
		return s.stopNode(ctx)
	case PauseNode:
		return s.pauseNode(ctx)
	case KillRedis:
		s.redis.Kill()
		return s.again(ctx, func(ctx context.Context) error { return s.startRedis(ctx, "") })
	case FlushRedis:
		return s.tellRedis("FLUSHALL")
	case RewindRedis:
		return s.rewindRedis(ctx)
	case PauseRedis:
		return s.frozen(ctx, s.redis.Pid())
	case KillMinIO:
		s.minio.Kill()
		return s.again(ctx, s.startMinIO)
	case CutRedis:
		return s.cut(ctx, func(m *member, shut bool) { m.toRedis.set(shut) })
	case CutMinIO:
		return s.cut(ctx, func(m *member, shut bool) { m.toMinIO.set(shut) })
	case CutAll:
		m := s.any()
		m.toRedis.set(true)
		m.toMinIO.set(true)
		err := s.wait(ctx)
		m.toMinIO.set(false)
		m.toRedis.set(false)
		return err
	case LoseReply:
		return s.loseReply(ctx)
	case Failover:
		return s.failover(ctx)
	case FillRedis:
		return s.fillRedis(ctx)
	case StormMinIO:
		return s.stormMinIO(ctx)
	case JumpClock:
		return s.jumpClock(ctx)
	case Partition:
		return s.partition(ctx)
	case RollNodes:
		return s.roll(ctx)
	}
	return fmt.Errorf("no strike is called %q", kind)
}

func (s *striker) wait(ctx context.Context) error { return sleep(ctx, s.pause()) }

// rest is how long all is well: half an interval, up to one and a half.
func (s *striker) rest(ctx context.Context, interval time.Duration) error {
	return sleep(ctx, interval/2+time.Duration(s.random.Int64N(int64(interval))))
}

// again starts something again after a while.
func (s *striker) again(ctx context.Context, start func(context.Context) error) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return start(ctx)
}

func (s *striker) stopNode(ctx context.Context) error {
	if err := s.drain(ctx, s.any()); err != nil {
		return err
	}
	return s.again(ctx, s.startNodes)
}

// drain has a node end as it should.
func (s *striker) drain(ctx context.Context, m *member) error {
	draining, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status, err := m.live.Terminate(draining)
	if err == nil && status != 0 {
		err = fmt.Errorf("the node drained with exit status %d:\n%s", status, m.live.Output())
	}
	if err != nil {
		return err
	}
	m.live = nil
	return nil
}

// readyFor is how long a node must have been back before the next one goes: minReadySeconds of the
// Helm chart.
const readyFor = 6 * time.Second

// roll is what a rolling update of the Helm chart does: to the other version, if there is one, or
// back.
func (s *striker) roll(ctx context.Context) error {
	for _, m := range s.nodes {
		if err := s.drain(ctx, m); err != nil {
			return err
		}
		m.exchange(s.plan.firn, s.plan.other)
		if err := s.startNodes(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, readyFor); err != nil {
			return err
		}
	}
	return nil
}

// pauseNode freezes a node.
func (s *striker) pauseNode(ctx context.Context) error {
	m := s.any()
	if s.random.IntN(2) == 0 {
		if err := s.tellRedis("FLUSHALL"); err != nil {
			return err
		}
	}
	return s.frozen(ctx, m.live.Pid())
}

// frozen stops a process for a while.
func (s *striker) frozen(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	err := s.wait(ctx)
	if thaw := syscall.Kill(pid, syscall.SIGCONT); thaw != nil {
		return thaw
	}
	return err
}

// rewindRedis brings Redis back with the newest dump that is older than a strike, and keeps one of
// what it has now for the next.
func (s *striker) rewindRedis(ctx context.Context) error {
	if !s.dumped {
		if err := s.dump(); err != nil {
			return err
		}
		if err := s.wait(ctx); err != nil { // in which the state goes on
			return err
		}
	}
	s.redis.Kill()
	s.dumped = false
	return s.again(ctx, func(ctx context.Context) error { return s.startRedis(ctx, s.dumpFile()) })
}

// dump remembers what Redis has now.
func (s *striker) dump() error {
	if err := s.saveRedis(); err != nil {
		return err
	}
	s.dumped = true
	return nil
}

// cut cuts two nodes off in turn: the first, then for a while both, then the second.
func (s *striker) cut(ctx context.Context, set func(m *member, shut bool)) error {
	order := s.random.Perm(len(s.nodes))
	first, second := s.nodes[order[0]], s.nodes[order[1]]
	defer set(first, false)
	defer set(second, false)
	set(first, true)
	if err := s.wait(ctx); err != nil {
		return err
	}
	set(second, true)
	if err := s.wait(ctx); err != nil {
		return err
	}
	set(first, false)
	return s.wait(ctx)
}
