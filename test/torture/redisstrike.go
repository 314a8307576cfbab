package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// errNothing is what a strike returns that found nothing to strike. It does not count.
var errNothing = errors.New("there was nothing to strike")

// callWait is how long a call may take to come whose reply is to be lost: the rarest are made every
// few seconds.
const callWait = 12 * time.Second

// toRedis are the gates through which Redis is reached.
func (s *striker) toRedis() []*gate {
	gates := []*gate{s.guest.toRedis}
	for _, m := range s.nodes {
		gates = append(gates, m.toRedis)
	}
	return gates
}

// loseReply loses one reply. Every call has its turn: all scripts of the coordinator, and the
// reading of the commit stream. A call that does not come gives its turn to the next one.
func (s *striker) loseReply(ctx context.Context) error {
	for range len(scriptNames) {
		if len(s.calls) == 0 {
			s.calls = append(slices.Sorted(maps.Values(scriptNames)), "xread")
			s.random.Shuffle(len(s.calls), func(i, j int) { s.calls[i], s.calls[j] = s.calls[j], s.calls[i] })
		}
		call := s.calls[0]
		s.calls = s.calls[1:]
		if lost, err := s.loseReplyOf(ctx, call); lost || err != nil {
			return err
		}
		s.note(LoseReply, "no call of %s came within %v", call, callWait)
	}
	return errNothing
}

// loseReplyOf loses the reply of the next call of this name, unless none comes.
func (s *striker) loseReplyOf(ctx context.Context, call string) (lost bool, err error) {
	l := newLoss(call)
	for _, g := range s.toRedis() {
		g.lose(l)
		defer g.lose(nil)
	}
	if err := s.provoke(ctx, call); err != nil {
		return false, err
	}
	select {
	case <-l.done:
	case <-time.After(callWait):
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if !l.withdraw() {
		return false, nil
	}
	s.note(LoseReply, "a reply of %s", call)
	return true, nil
}

// provoke has a call made that does not come by itself. Whether it succeeds is not its concern: its
// reply is lost on the way.
func (s *striker) provoke(ctx context.Context, call string) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	switch call {
	case "look", "load", "open":
		return s.tellRedis("FLUSHALL")
	case "release":
		return s.stopNode(ctx)
	case "propose", "topic":
		name := fmt.Sprintf("provoked-%d", s.random.Uint32())
		s.admin.CreateTopic(ctx, 1, 1, nil, name)
		s.admin.DeleteTopic(ctx, name)
	case "offsets", "acquire":
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, 0, -1)
		s.admin.CommitOffsets(ctx, fmt.Sprintf("provoked-%d", s.random.Uint32()), offsets)
	}
	return nil
}

// failover has a replica take over that has not heard the last. Nodes hear of it at once or in
// turn: then some still speak to the old master, which does not know that it is none any more. At
// times the old master is back after a while, with what it knew.
func (s *striker) failover(ctx context.Context) error {
	replica, way, err := s.startReplica(ctx)
	if err != nil {
		return err
	}
	defer way.close()
	master := s.redis
	way.set(true) // the replica lags from here on
	if err := s.briefly(ctx); err != nil {
		replica.Kill()
		return err
	}
	if _, err := askRedis(replica.Addr, "REPLICAOF NO ONE"); err != nil {
		replica.Kill()
		return err
	}
	s.redis = replica
	gates := s.toRedis()
	switch s.random.IntN(3) {
	case 0:
		s.note(Failover, "the master is killed first")
		master.Kill()
		leadAll(gates, replica.Addr)
	case 1:
		s.note(Failover, "two masters for a while")
		s.random.Shuffle(len(gates), func(i, j int) { gates[i], gates[j] = gates[j], gates[i] })
		for _, g := range gates {
			g.lead(replica.Addr)
			err = errors.Join(err, s.briefly(ctx))
		}
		master.Kill()
	default:
		s.note(Failover, "there and back")
		leadAll(gates, replica.Addr)
		err = s.briefly(ctx)
		s.redis = master
		leadAll(gates, master.Addr)
		replica.Kill()
		s.homes--
	}
	return err
}

func leadAll(gates []*gate, addr string) {
	for _, g := range gates {
		g.lead(addr)
	}
}

// briefly waits for up to a second, in which things go on.
func (s *striker) briefly(ctx context.Context) error {
	return sleep(ctx, time.Duration(s.random.Int64N(int64(min(s.maxPause, time.Second)))))
}

// fillRedis has Redis refuse what needs memory.
func (s *striker) fillRedis(ctx context.Context) error {
	used, err := s.usedMemory()
	if err != nil {
		return err
	}
	if err := s.tellRedis(fmt.Sprintf("CONFIG SET maxmemory %d", used)); err != nil {
		return err
	}
	return errors.Join(s.wait(ctx), s.tellRedis("CONFIG SET maxmemory 0"))
}
