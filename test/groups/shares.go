package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shares is a share group of Java's KafkaShareConsumer, while its members, the nodes and Redis are
// struck. What members are given, and what becomes of it, is judged.
type shares struct {
	cluster *cluster
	records int
	strikes int
	random  *rand.Rand
	log     io.Writer
	java    client

	judge   *shareJudge
	began   time.Time
	members []*program
	started int
}

const (
	shareGroup, shareTopic = "workers", "tasks"
	sharePartitions        = 3
	// shareMembers are two for each partition: one that was killed is a member for 45 s more, and has
	// what it was assigned.
	shareMembers = 2 * sharePartitions
	shareLock    = 10 * time.Second
	// sharesAhead is how many records are written before they are accepted, and sharesPace how many in
	// a second. So the strikes hit members at work, and there is time between them.
	sharesAhead, sharesPace = 50_000, 10_000
)

func (o options) shares(ctx context.Context, c *cluster) error {
	here, err := filepath.Abs(o.here)
	if err != nil {
		return err
	}
	s := &shares{cluster: c, records: o.tasks, strikes: o.strikes, log: o.out,
		random: rand.New(rand.NewPCG(1, uint64(o.strikes))), java: client{command: javaMember(here, "ShareMember")},
		judge: newShareJudge(sharePartitions, shareLock)}
	took, err := s.run(ctx)
	if err != nil {
		return fmt.Errorf("shares: %w", err)
	}
	v := s.judge.finish()
	fmt.Fprintf(o.out, "shares: in %v, with %d strikes: %v\n", took.Round(100*time.Millisecond), o.strikes, v)
	for _, fault := range v.faults[:min(len(v.faults), 20)] {
		fmt.Fprintln(o.out, "  ", fault)
	}
	if len(v.faults) > 0 || v.records != s.records {
		return fmt.Errorf("shares: %d of %d records, and %d faults", v.records, s.records, len(v.faults))
	}
	return nil
}

func (s *shares) run(ctx context.Context) (took time.Duration, err error) {
	s.began = time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := s.cluster.client(kgo.ProducerBatchMaxBytes(8 << 10)) // members are given whole batches
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err := s.prepare(ctx, client); err != nil {
		return 0, err
	}
	defer func() {
		for _, m := range s.members {
			m.kill()
		}
	}()
	for range shareMembers {
		m, err := s.join(ctx)
		if err != nil {
			return 0, err
		}
		s.members = append(s.members, m)
	}
	produced, watched := make(chan error, 1), make(chan struct{})
	go func() { produced <- s.produce(ctx, client) }()
	go func() { defer close(watched); s.watch(ctx, kadm.NewClient(client)) }()
	defer func() { cancel(); <-watched }()
	for struck := range s.strikes {
		if err := s.reach(ctx, s.records*(struck+1)/(s.strikes+1), produced); err != nil {
			return 0, err
		}
		if err := s.strike(ctx, kadm.NewClient(client), struck); err != nil {
			return 0, err
		}
	}
	if err := s.reach(ctx, s.records, produced); err != nil {
		return 0, err
	}
	err = s.finished(ctx, kadm.NewClient(client))
	took = time.Since(s.began)
	for _, m := range s.members {
		err = errors.Join(err, m.leave())
	}
	return took, err
}

// prepare makes the topic, and has the group begin with its first record.
func (s *shares) prepare(ctx context.Context, client *kgo.Client) error {
	if err := s.cluster.create(ctx, sharePartitions, shareTopic); err != nil {
		return err
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	on := kmsg.NewIncrementalAlterConfigsRequestResource()
	on.ResourceType, on.ResourceName = kmsg.ConfigResourceTypeGroupConfig, shareGroup
	for name, value := range map[string]string{"share.auto.offset.reset": "earliest",
		"share.delivery.count.limit":    "10", // more than strikes use up
		"share.record.lock.duration.ms": strconv.FormatInt(shareLock.Milliseconds(), 10)} {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = name, &value
		on.Configs = append(on.Configs, c)
	}
	req.Resources = append(req.Resources, on)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Resources[0].ErrorCode)
}

// join starts a member.
func (s *shares) join(ctx context.Context) (*program, error) {
	s.started++
	return s.java.start(ctx, s.judge, fmt.Sprint("member ", s.started), s.cluster.bootstrap(), shareGroup, shareTopic, "",
		"")
}

// produce writes the records: numbers.
func (s *shares) produce(ctx context.Context, client *kgo.Client) error {
	const chunk = 2000
	for written, began := 0, time.Now(); written < s.records; {
		n := min(chunk, s.records-written, s.judge.accepted()+sharesAhead-written,
			int(time.Since(began).Seconds()*sharesPace)+chunk-written)
		if n <= 0 {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		some := make([]*kgo.Record, n)
		for i := range some {
			some[i] = &kgo.Record{Topic: shareTopic, Value: strconv.AppendInt(nil, int64(written+i+1), 10)}
		}
		if err := client.ProduceSync(ctx, some...).FirstErr(); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		for i, r := range some {
			s.judge.wrote(r.Partition, r.Offset, written+i+1)
		}
		written += n
	}
	return nil
}

// watch notes when the group moves to another node by itself, until ctx ends.
func (s *shares) watch(ctx context.Context, admin *kadm.Client) {
	owner, seen := int32(-1), int64(0)
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, 5*time.Second)
		found := admin.FindGroupCoordinators(asked, shareGroup)[shareGroup]
		cancel()
		if now := time.Now(); found.Err == nil {
			if owner >= 0 && found.NodeID != owner {
				fmt.Fprintf(s.log, "  the group moved from node %d to node %d\n", owner, found.NodeID)
				s.judge.struck(shareStrike{reason: ownerMoved, from: seen, to: now.Add(printing).UnixNano()})
			}
			owner, seen = found.NodeID, now.UnixNano()
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// reach waits until so many records are accepted, or as many as are known to be: the last answers
// may have been lost.
func (s *shares) reach(ctx context.Context, records int, produced <-chan error) error {
	most, since := -1, time.Now()
	for {
		n := s.judge.accepted()
		if n > most {
			most, since = n, time.Now()
		}
		if n >= records {
			return nil
		}
		if quiet := time.Since(since); quiet > pipelinePatience || records == s.records && quiet > 5*time.Second {
			if records == s.records { // finished sees whether anything is left
				return nil
			}
			return fmt.Errorf("%d of %d records are accepted, and then nothing", n, s.records)
		}
		select {
		case err := <-produced:
			if err != nil {
				return err
			}
			produced = nil
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, m := range s.members {
			if err := m.alive(); err != nil {
				return err
			}
		}
	}
}

// finished waits until the group has nothing left.
func (s *shares) finished(ctx context.Context, admin *kadm.Client) error {
	var at string
	for since := time.Now(); time.Since(since) < pipelinePatience; {
		ends, err := admin.ListEndOffsets(ctx, shareTopic)
		if err != nil {
			return err
		}
		described, err := admin.DescribeShareGroupOffsets(ctx, shareGroup)
		if err != nil {
			return err
		}
		left, now := int64(0), ""
		for partition := range int32(sharePartitions) {
			start, end := described[shareGroup].Offsets[shareTopic][partition].StartOffset, ends[shareTopic][partition].Offset
			left += end - start
			now += fmt.Sprintf(" %d of %d", start, end)
		}
		if left == 0 && s.written(ends) {
			return nil
		}
		if now != at {
			at, since = now, time.Now()
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("the group does not come to the end of its partitions:%s", at)
}

// written says whether the topic has all records.
func (s *shares) written(ends kadm.ListedOffsets) bool {
	var all int64
	ends.Each(func(o kadm.ListedOffset) { all += o.Offset })
	return all >= int64(s.records)
}

// strike kills a member, or the node that owns the group, or any node, or stops a member for longer
// than its lock, or wipes Redis, in turn.
func (s *shares) strike(ctx context.Context, admin *kadm.Client, n int) (err error) {
	mark := shareStrike{facts: s.cluster.redis == nil}
	switch {
	case n%2 == 0:
		i := s.atWork(s.random.IntN(len(s.members)))
		mark = shareStrike{reason: consumerKilled, member: s.members[i].name}
		s.tell("kill -9 of %s", mark.member)
		mark.from = time.Now().UnixNano()
		s.members[i].kill()
		s.judge.struck(mark)
		m, err := s.join(ctx)
		if err != nil {
			return err
		}
		s.members[i] = m
		if n%4 == 2 {
			return s.stop(ctx, s.members[s.atWork(i+1)])
		}
		return nil
	case n%4 == 3 && s.cluster.redis != nil:
		s.tell("Redis is wiped")
		r := redis.NewClient(&redis.Options{Addr: s.cluster.redis.Addr})
		defer r.Close()
		mark.reason, mark.facts, mark.from = redisWiped, true, time.Now().UnixNano()
		err = r.FlushAll(ctx).Err()
	default:
		i := s.random.IntN(len(s.cluster.nodes))
		if n%8 == 1 {
			owner, err := s.cluster.coordinator(ctx, shareGroup)
			if err != nil {
				return err
			}
			i = owner - 1
		}
		s.tell("kill -9 of node %d", i+1)
		mark.reason, mark.from = nodeKilled, time.Now().UnixNano()
		s.cluster.nodes[i].Kill()
		err = s.cluster.startNode(ctx, i)
	}
	if err == nil {
		err = s.settled(ctx, admin)
	}
	mark.to = time.Now().Add(printing).UnixNano()
	s.judge.struck(mark)
	return err
}

// atWork is a member that has records: the first from one on, if somebody comes to have some.
func (s *shares) atWork(first int) int {
	for range 1000 {
		for k := range s.members {
			if i := (first + k) % len(s.members); s.judge.working(s.members[i].name) {
				return i
			}
		}
		time.Sleep(time.Millisecond)
	}
	return first % len(s.members)
}

// settled waits until the group has an owner that answers for it.
func (s *shares) settled(ctx context.Context, admin *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		described, err := admin.DescribeShareGroupOffsets(ctx, shareGroup)
		if err == nil && described.Ok() || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// stop stops a member for longer than it may have a record.
func (s *shares) stop(ctx context.Context, m *program) error {
	s.tell("%s is stopped", m.name)
	mark := shareStrike{reason: consumerStopped, member: m.name, from: time.Now().UnixNano()}
	err := m.cmd.Process.Signal(syscall.SIGSTOP)
	select {
	case <-time.After(shareLock + 2*time.Second):
	case <-ctx.Done():
	}
	err = errors.Join(err, m.cmd.Process.Signal(syscall.SIGCONT), ctx.Err())
	mark.to = time.Now().UnixNano()
	s.judge.struck(mark)
	return err
}

func (s *shares) tell(format string, args ...any) {
	took := time.Since(s.began).Round(100 * time.Millisecond)
	fmt.Fprintf(s.log, "after %v and %d records, %s\n", took, s.judge.accepted(), fmt.Sprintf(format, args...))
}
