package main

import (
	"context"
	"errors"
	"time"
)

// stormMinIO leads all nodes to a MinIO that is overloaded.
func (s *striker) stormMinIO(ctx context.Context) error {
	percent := []int64{100, 50, 20}[s.random.IntN(3)]
	s.note(StormMinIO, "%d %% of requests are refused", percent)
	s.storm.percent.Store(percent)
	for _, m := range s.nodes {
		m.toMinIO.lead(s.storm.addr)
	}
	err := s.wait(ctx)
	for _, m := range s.nodes {
		m.toMinIO.lead(s.minio.Addr)
	}
	return err
}

// clockAhead is how far a clock is wrong: beyond what S3 accepts (15 minutes), and beyond every
// deadline of ours but the longest.
const clockAhead = 24 * time.Hour

// clockDelay is a little more than it takes a node to see that its clock was set.
const clockDelay = 100 * time.Millisecond

// jumpClock sets a node's clock ahead and back.
func (s *striker) jumpClock(ctx context.Context) error {
	m := s.any()
	if m == s.nodes[0] {
		s.note(JumpClock, "of the node with Amazon's S3 client")
	} else {
		s.note(JumpClock, "of a node with MinIO's client, which MinIO then refuses")
	}
	if err := m.setClock(clockAhead); err != nil {
		return err
	}
	err := s.wait(ctx)
	time.Sleep(clockDelay)
	err = errors.Join(err, m.setClock(0))
	time.Sleep(clockDelay)
	return err
}

// partition has packets vanish between a node and others. Without a network of its own, its gates
// go silent instead.
func (s *striker) partition(ctx context.Context) error {
	m := s.any()
	ways := [][]link{{toRedis}, {toMinIO}, {toRedis, toMinIO}, {toClients},
		{toRedis, toMinIO, toClients}}[s.random.IntN(5)]
	if m.space == nil {
		s.note(Partition, "by silent proxies, because %s", whyNoNetwork())
		set := func(silent bool) {
			for _, way := range ways {
				switch way {
				case toRedis:
					m.toRedis.hush(silent)
				case toMinIO:
					m.toMinIO.hush(silent)
				}
			}
		}
		set(true)
		defer set(false)
		return s.wait(ctx)
	}
	blocked := [][2]bool{{true, true}, {true, false}, {false, true}}[s.random.IntN(3)]
	s.note(Partition, "from %s, %s", namesOf(ways), map[[2]bool]string{{true, true}: "both ways",
		{true, false}: "towards the node", {false, true}: "from the node"}[blocked])
	set := func(to, from bool) (err error) {
		for _, way := range ways {
			err = errors.Join(err, m.space.block(way, to, from))
		}
		return err
	}
	err := set(blocked[0], blocked[1])
	if err == nil {
		err = s.wait(ctx)
	}
	return errors.Join(err, set(false, false))
}

func namesOf(ways []link) string {
	text := ""
	for i, way := range ways {
		if i > 0 {
			text += " and "
		}
		text += [links]string{"clients", "Redis", "MinIO"}[way]
	}
	return text
}
