package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mixed is one group of members on different clients.
type mixed struct {
	cluster            *cluster
	clients            []client
	protocol, assignor string // of most; with "upgrade", members of both protocols meet
	strikes            int    // kill -9 of members, and of the node that owns the group
	log                io.Writer

	random *rand.Rand
	judge  *judge
	group  string
	topic  string
	live   []*program // of each client one, in the same order
	count  int
}

const mixedPartitions = 12

// choose takes those clients that know the protocol and the assignor, of the named ones if names
// are given.
func (m *mixed) choose(all []client, names string) {
	for _, c := range all {
		if c.knows(m.protocol, m.assignor) && (names == "" || slices.Contains(strings.Split(names, ","), c.name)) {
			m.clients = append(m.clients, c)
		}
	}
}

// judged runs the group, tells what was found, and returns what is wrong with it.
func (m *mixed) judged(ctx context.Context, out io.Writer) error {
	begun := time.Now()
	v, err := m.run(ctx)
	name := fmt.Sprintf("%s %s, %d strikes", m.protocol, m.assignor, m.strikes)
	for _, c := range m.clients {
		name += ", " + c.name
	}
	fmt.Fprintf(out, "%s: %s, in %v\n", name, v, time.Since(begun).Round(time.Second))
	switch {
	case err != nil:
	case v.Missing > 0:
		err = fmt.Errorf("%d records were never processed", v.Missing)
	case len(v.Overlaps) > 0:
		err = fmt.Errorf("partitions had two owners: %v", v.Overlaps[:min(5, len(v.Overlaps))])
	case m.strikes == 0 && v.Twice > 0:
		err = fmt.Errorf("nobody died, and %d records were processed twice", v.Twice)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// run has members come, go and die while records are written, and judges what they did.
func (m *mixed) run(ctx context.Context) (verdict, error) {
	m.judge = newJudge()
	m.group = fmt.Sprintf("mixed-%s-%s-%d", m.protocol, m.assignor, m.strikes)
	m.topic = m.group
	if err := m.cluster.create(ctx, mixedPartitions, m.topic); err != nil {
		return verdict{}, err
	}
	defer func() {
		for _, p := range m.live {
			p.kill()
		}
	}()
	w, err := m.startWriter(ctx)
	if err != nil {
		return verdict{}, err
	}
	defer w.stop()
	if err := m.comeAndGo(ctx); err != nil {
		return verdict{}, err
	}
	for range m.strikes {
		if err := m.strike(ctx); err != nil {
			return verdict{}, err
		}
	}
	ends, err := w.stop()
	if err != nil {
		return verdict{}, err
	}
	total := 0
	for _, end := range ends {
		total += int(end)
	}
	err = m.until(ctx, fmt.Sprintf("all %d records are processed", total), func() bool {
		return m.judge.distinct() >= total
	})
	for _, p := range m.live {
		err = errors.Join(err, p.leave())
	}
	m.live = nil
	return m.judge.finish(ends), err
}

// comeAndGo has a member of each client join, then each leave and another one come.
func (m *mixed) comeAndGo(ctx context.Context) error {
	for _, c := range m.clients {
		if err := m.join(ctx, c); err != nil {
			return err
		}
	}
	for i, c := range m.clients {
		if c.bare {
			continue
		}
		p := m.live[i]
		if err := p.leave(); err != nil {
			return err
		}
		if err := m.replace(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// join starts a member and waits until it processes records.
func (m *mixed) join(ctx context.Context, c client) error {
	m.count++
	protocol, assignor := m.protocol, m.assignor
	if protocol == "upgrade" { // every other member is still, or again, one of the classic protocol
		protocol, assignor = "consumer", "uniform"
		if m.count%2 == 1 || !c.knows(protocol, assignor) {
			protocol, assignor = "classic", m.assignor
		}
	}
	name := fmt.Sprintf("%s %d", c.name, m.count)
	p, err := c.start(ctx, m.judge, name, m.cluster.bootstrap(), m.group, m.topic, protocol, assignor)
	if err != nil {
		return err
	}
	m.live = append(m.live, p)
	return m.until(ctx, name+" processes", func() bool { return m.judge.processed(name) > 0 })
}

// strike kills a member, or every third time the node that owns the group, and has another come.
func (m *mixed) strike(ctx context.Context) error {
	if m.count%3 == 0 {
		node, err := m.cluster.coordinator(ctx, m.group)
		if err != nil {
			return err
		}
		fmt.Fprintf(m.log, "  kill -9 of node %d, which owns the group\n", node)
		m.cluster.nodes[node-1].Kill()
		if err := m.succeeded(ctx, node); err != nil {
			return err
		}
		before := m.judge.distinct()
		if err := m.until(ctx, "the group goes on", func() bool { return m.judge.distinct() > before+500 }); err != nil {
			return err
		}
		if err := m.cluster.startNode(ctx, node-1); err != nil {
			return err
		}
	}
	i := m.random.IntN(len(m.live))
	for m.clients[i].bare {
		i = m.random.IntN(len(m.live))
	}
	p := m.live[i]
	fmt.Fprintf(m.log, "  kill -9 of %s\n", p.name)
	p.kill()
	return m.replace(ctx, i)
}

// succeeded waits until another node answers for the group, and tells how long that took. With a
// single node nobody does.
func (m *mixed) succeeded(ctx context.Context, dead int) error {
	if len(m.cluster.nodes) == 1 {
		return nil
	}
	died := time.Now()
	client, err := m.cluster.client()
	if err != nil {
		return err
	}
	defer client.Close()
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group = m.group
	for i := 0; time.Since(died) < patience; i++ {
		node := i%len(m.cluster.nodes) + 1
		if node == dead {
			continue
		}
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Groups = []kmsg.OffsetFetchRequestGroup{asked}
		answer, err := req.RequestWith(ctx, client.Broker(node))
		if err == nil && len(answer.Groups) == 1 && answer.Groups[0].ErrorCode == 0 {
			fmt.Fprintf(m.log, "  node %d answers for the group after %v\n", node, time.Since(died).Round(100*time.Millisecond))
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("nobody answers for group %s %v after its owner died", m.group, patience)
}

// replace has another member of the same client come in the place of one that is gone.
func (m *mixed) replace(ctx context.Context, i int) error {
	if err := m.join(ctx, m.clients[i]); err != nil {
		return err
	}
	last := len(m.live) - 1
	m.live[i], m.live = m.live[last], m.live[:last]
	return nil
}

// until waits for something, while all members live.
func (m *mixed) until(ctx context.Context, what string, so func() bool) error {
	deadline := time.Now().Add(patience)
	for !so() {
		for _, p := range m.live {
			if err := p.alive(); err != nil && !p.gone.Load() {
				return err
			}
		}
		if time.Now().After(deadline) {
			var said strings.Builder
			for _, p := range m.live {
				fmt.Fprintf(&said, "\n%s: %d processed\n%s", p.name, m.judge.processed(p.name), p.errs.String())
			}
			return fmt.Errorf("waited for %v until %s%s", patience, what, said.String())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// writer writes records into every partition until it is stopped.
type writer struct {
	client *kgo.Client
	cancel context.CancelFunc
	done   chan error
	ends   map[int32]int64
}

func (m *mixed) startWriter(ctx context.Context) (*writer, error) {
	client, err := m.cluster.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(m.topic))
	if err != nil {
		return nil, err
	}
	w := &writer{client: client, done: make(chan error, 1), ends: map[int32]int64{}}
	ctx, w.cancel = context.WithCancel(ctx)
	go func() { w.done <- w.write(ctx) }()
	return w, nil
}

func (w *writer) write(ctx context.Context) error {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		var records []*kgo.Record
		for p := range int32(mixedPartitions) {
			records = append(records, &kgo.Record{Partition: p, Value: []byte("a record of a mixed group")})
		}
		for _, r := range w.client.ProduceSync(context.WithoutCancel(ctx), records...) {
			if r.Err != nil {
				return r.Err
			}
			w.ends[r.Record.Partition] = max(w.ends[r.Record.Partition], r.Record.Offset+1)
		}
	}
}

// stop ends the writing and returns how many records each partition has. It may be called again.
func (w *writer) stop() (map[int32]int64, error) {
	w.cancel()
	err, first := <-w.done
	if first {
		close(w.done)
		w.client.Close()
	}
	return w.ends, err
}
