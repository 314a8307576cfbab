package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// The strikes at a cluster. Each ends with everything running again.
const (
	KillNode    Strike = "kill-node"    // kill -9 of a node, which comes back after a while
	StopNode    Strike = "stop-node"    // SIGTERM of a node: it drains with exit status 0
	PauseNode   Strike = "pause-node"   // a node is frozen and thaws; sometimes Redis is emptied meanwhile, so that it thaws fenced
	KillRedis   Strike = "kill-redis"   // kill -9 of Redis, which keeps nothing and comes back empty
	FlushRedis  Strike = "flush-redis"  // FLUSHALL
	RewindRedis Strike = "rewind-redis" // Redis comes back with an old dump
	PauseRedis  Strike = "pause-redis"  // Redis is frozen and thaws
	KillMinIO   Strike = "kill-minio"   // kill -9 of MinIO, which comes back with its data
	CutRedis    Strike = "cut-redis"    // nodes do not reach Redis, in turn or both
	CutMinIO    Strike = "cut-minio"    // nodes do not reach MinIO, in turn or both
	CutAll      Strike = "cut-all"      // a node reaches nothing
	RollNodes   Strike = "roll-nodes"   // every node in turn is drained and comes back, as a rolling update has it: minutes, so only when asked for
)

// ClusterStrikes are all of them.
var ClusterStrikes = []Strike{KillNode, StopNode, PauseNode, KillRedis, FlushRedis, RewindRedis, PauseRedis, KillMinIO, CutRedis, CutMinIO, CutAll}

// striker strikes a cluster.
type striker struct {
	*cluster
	random   *rand.Rand
	maxPause time.Duration // of anything that is frozen, cut off or down
	dumped   bool          // there is an old dump of Redis
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
	case RollNodes:
		return s.roll(ctx)
	}
	return fmt.Errorf("no strike is called %q", kind)
}

func (s *striker) wait(ctx context.Context) error {
	select {
	case <-time.After(s.pause()):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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

// readyFor is how long a node must have been back before the next one goes: minReadySeconds of the Helm chart.
const readyFor = 6 * time.Second

// roll is what a rolling update of the Helm chart does.
func (s *striker) roll(ctx context.Context) error {
	for _, m := range s.nodes {
		if err := s.drain(ctx, m); err != nil {
			return err
		}
		if err := s.startNodes(ctx); err != nil {
			return err
		}
		select {
		case <-time.After(readyFor):
		case <-ctx.Done():
			return ctx.Err()
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

// rewindRedis brings Redis back with the newest dump that is older than a strike, and keeps one of what it has now for the next.
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
