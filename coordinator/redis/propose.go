package redis

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Propose implements coordinator.Log. It works out here what a topic becomes, from the topic as
// Redis has it, and the change takes effect only if the topic is still the same.
func (c *Coordinator) Propose(
	ctx context.Context, in coordinator.Incarnation, change coordinator.Change,
) (coordinator.Entry, error) {
	g, err := c.generation(ctx, in)
	if err != nil {
		return coordinator.Entry{}, err
	}
	p := proposal{c: c, g: g, in: in, id: change.ID}
	switch {
	case change.CreateTopic != nil:
		return p.createTopic(ctx, change.CreateTopic)
	case change.DeleteTopic != nil:
		return p.changeTopic(ctx, "delete", *change.DeleteTopic, func(t *coordinator.TopicFact) error {
			t.Deleted, t.Configs = true, nil
			return nil
		})
	case change.Grow != nil:
		return p.changeTopic(ctx, "alter", change.Grow.Topic, change.Grow.Apply)
	case change.Configure != nil:
		return p.changeTopic(ctx, "alter", change.Configure.Topic, change.Configure.Apply)
	case change.LogStart != nil:
		return p.moveLogStart(ctx, change.LogStart)
	case change.ProducerIDs > 0:
		entry, _, err := p.decide(ctx, "ids", "", change.ProducerIDs)
		return entry, err
	case change.Offsets != nil:
		return p.commitOffsets(ctx, change.Offsets)
	case change.Merge != nil:
		return p.merge(ctx, change.Merge)
	case len(change.Settings) > 0:
		return p.settings(ctx, change.Settings)
	case change.OfID():
		return p.changeID(ctx, &change)
	}
	return coordinator.Entry{}, fmt.Errorf("%w: it has no content", coordinator.ErrUnknownChange)
}

// proposal is one Propose on its way.
type proposal struct {
	c  *Coordinator
	g  generation
	in coordinator.Incarnation
	id segments.ID
}

// standing is what a change of a topic depends on.
type standing struct {
	again *coordinator.Entry // what this change became before
	fact  []byte             // of the topic, as Redis has it
	topic *coordinator.TopicFact
	taken bool // the name
}

func (p *proposal) look(ctx context.Context, id segments.TopicID, name string) (standing, error) {
	keys := []string{p.g.current(), p.g.change(p.id), p.g.topics(), p.g.names(), p.g.settling()}
	answer, err := p.c.run(ctx, topicScript, keys, p.g.name, "", id[:], name)
	if err != nil {
		return standing{}, err
	}
	r := newReply(answer)
	before, fact, taken := r.string(), r.string(), r.int()
	if r.err != nil {
		return standing{}, r.err
	}
	s := standing{fact: []byte(fact), taken: taken > 0}
	if before != "" {
		entry, err := p.entry(before)
		s.again = &entry
		return s, err
	}
	if fact != "" {
		f, err := coordinator.DecodeFact(s.fact)
		if err != nil || f.Topic == nil {
			return standing{}, fmt.Errorf("redis: topic %s: %w", id, err)
		}
		s.topic = f.Topic
	}
	return s, nil
}

func (p *proposal) createTopic(ctx context.Context, c *coordinator.CreateTopic) (coordinator.Entry, error) {
	for {
		now, err := p.look(ctx, c.ID, c.Name)
		switch {
		case err != nil:
			return coordinator.Entry{}, err
		case now.again != nil:
			return *now.again, nil
		case now.taken || now.topic != nil:
			return coordinator.Entry{}, fmt.Errorf("%w: %s", coordinator.ErrTopicExists, c.Name)
		case c.Partitions < 1:
			return coordinator.Entry{}, fmt.Errorf("%w: %s with %d", coordinator.ErrPartitionCount, c.Name, c.Partitions)
		}
		next := coordinator.TopicFact{ID: c.ID, Name: c.Name, Version: 1, Partitions: c.Partitions, Configs: c.Configs}
		if entry, decided, err := p.topic(ctx, "create", now, &next); err != nil || decided {
			return entry, err
		}
	}
}

func (p *proposal) changeTopic(
	ctx context.Context, kind string, id segments.TopicID, change func(*coordinator.TopicFact) error,
) (coordinator.Entry, error) {
	for {
		now, err := p.look(ctx, id, "")
		switch {
		case err != nil:
			return coordinator.Entry{}, err
		case now.again != nil:
			return *now.again, nil
		case now.topic == nil || now.topic.Deleted:
			return coordinator.Entry{}, fmt.Errorf("%w: id %s", coordinator.ErrUnknownTopic, id)
		}
		next := *now.topic
		next.Version++
		if err := change(&next); err != nil {
			return coordinator.Entry{}, err
		}
		if entry, decided, err := p.topic(ctx, kind, now, &next); err != nil || decided {
			return entry, err
		}
	}
}

// topic decides what a topic becomes, unless it, or its name, has changed since it was looked at.
func (p *proposal) topic(
	ctx context.Context, kind string, now standing, next *coordinator.TopicFact,
) (coordinator.Entry, bool, error) {
	fact := coordinator.AppendFact(nil, &coordinator.Fact{Incarnation: p.in, Topic: next})
	entry, decided, err := p.decide(ctx, kind, string(fact), next.ID[:], now.fact, next.Name, next.Partitions)
	if decided && next.Deleted {
		all := make([]segments.Partition, next.Partitions)
		for i := range all {
			all[i] = segments.Partition{Topic: next.ID, Index: int32(i)}
		}
		_ = p.c.removePartitions(ctx, p.g, all) // nobody needs them any more; what is left is found by forget
	}
	return entry, decided, err
}

func (p *proposal) moveLogStart(ctx context.Context, l *coordinator.LogStart) (coordinator.Entry, error) {
	if err := l.Validate(); err != nil {
		return coordinator.Entry{}, err
	}
	var moves []byte
	for at, offset := range l.Offsets {
		moves = binary.BigEndian.AppendUint64(appendPartition(moves, at), uint64(offset))
	}
	fact := coordinator.AppendFact(nil, &coordinator.Fact{Incarnation: p.in, LogStart: l})
	entry, _, err := p.decide(ctx, "start", string(fact), moves)
	return entry, err
}

// settings decides settings. Redis writes version and time into the fact: they are the two numbers
// that its body begins with.
func (p *proposal) settings(ctx context.Context, changes []coordinator.Setting) (coordinator.Entry, error) {
	s, err := coordinator.NewSettings(changes)
	if err != nil {
		return coordinator.Entry{}, err
	}
	fact := coordinator.AppendFact(nil, &coordinator.Fact{Incarnation: p.in, Settings: s})
	body := len(binary.AppendUvarint([]byte{0, 0}, uint64(p.in)))
	entry, _, err := p.decide(ctx, "settings", string(fact[:body]), fact[body+8+8:])
	return entry, err
}

// decide calls propose.lua. It reports whether the change is decided, or has to be
// worked out again.
func (p *proposal) decide(ctx context.Context, kind, fact string, args ...any) (coordinator.Entry, bool, error) {
	g := p.g
	keys := []string{
		g.current(), g.counters(), g.usable(), g.ends(), g.starts(), g.stream(), g.pending(), g.order(),
		g.change(p.id), g.topics(), g.names(), g.settling(), g.merges(), g.leases(),
	}
	all := append([]any{g.name, "", int64(math.Ceil(p.c.opts.CommitDeadline.Seconds())), kind, fact}, args...)
	s := proposeScript
	if kind == "delete" {
		s = deleteScript
	}
	answer, err := p.c.run(ctx, s, keys, all...)
	if err != nil {
		return coordinator.Entry{}, false, err
	}
	r := newReply(answer)
	switch what := r.string(); what {
	case "decided":
		entry, err := p.entry(r.string())
		return entry, err == nil, err
	case "changed":
		return coordinator.Entry{}, false, nil
	case "partition", "range":
		return coordinator.Entry{}, false, refusedMove(what, r, args[0].([]byte))
	case "lease", "old", "young", "merged":
		return coordinator.Entry{}, false, refusedMerge(what, r)
	default:
		return coordinator.Entry{}, false, fmt.Errorf("redis, propose: answer %q: %w", what, r.err)
	}
}

// refusedMove says which of the log starts that were to move could not.
func refusedMove(what string, r *reply, moves []byte) error {
	const size = partitionLen + 8
	i := int(r.int())
	if r.err != nil || i < 0 || (i+1)*size > len(moves) {
		return fmt.Errorf("redis, propose: move %d: %w", i, r.err)
	}
	move := reader{rest: bytes.Clone(moves[i*size:])}
	at, offset := move.partition(), move.int64()
	if what == "partition" {
		return fmt.Errorf("%w: %s", coordinator.ErrUnknownPartition, at)
	}
	return fmt.Errorf("%w: %d in %s, which ends at %s", coordinator.ErrOffsetRange, offset, at, r.string())
}

// entry reads what propose.lua remembers of a change: number (u64), 'f' or 'i', fact or
// end of producer ids.
func (p *proposal) entry(remembered string) (coordinator.Entry, error) {
	r := reader{rest: []byte(remembered)}
	entry := coordinator.Entry{Seq: uint64(r.int64())}
	kind := r.byte()
	if r.err != nil {
		return coordinator.Entry{}, r.err
	}
	var err error
	if kind == 'i' {
		entry.Fact, err = idsFact(p.in, string(r.rest))
	} else {
		entry.Fact, err = coordinator.DecodeFact(r.rest)
	}
	return entry, err
}

func idsFact(in coordinator.Incarnation, end string) (*coordinator.Fact, error) {
	n, err := strconv.ParseInt(end, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("redis: producer ids up to %q: %w", end, err)
	}
	return &coordinator.Fact{Incarnation: in, ProducerIDs: &coordinator.ProducerIDs{End: n}}, nil
}
