package main

// once mutants break this: nothing is written twice.
var once = []mutant{
	{
		name: "commit-again", file: "coordinator/embedded/commit.go",
		rule: "a segment that is committed again gets its first answer",
		old:  "prior := e.commits.byID[req.Segment]",
		new:  "prior := (*recentCommit)(nil)",
		by:   []check{embedded, simulation, whole},
	},
	{
		name: "commit-again-redis", file: "coordinator/redis/lua/commit.lua",
		rule: "the same, in Redis",
		old:  "local remembered = redis.call('HGET', KEYS[6], segment) or ''",
		new:  "local remembered = known",
		by:   []check{scripts},
	},
	{
		name: "commits-not-opened", file: "coordinator/redis/open.go",
		rule: "a coordinator is opened with the young segments that were committed before",
		old: `	l.commits(state, at)
`,
		new: "",
		by:  []check{scripts},
	},
	{
		name: "commits-not-opened-embedded", file: "coordinator/embedded/embedded.go",
		rule: "the same, in memory",
		old: "\t\te.commits.remember(id, id.Time().Add(e.opts.CommitDeadline),\n" +
			"\t\t\t&recentCommit{segment: coordinator.NewCommittedSegment(spans)})",
		new: "\t\t_, _ = id, spans",
		by:  []check{embedded, simulation, whole},
	},
	{
		name: "keys-forgotten", file: "coordinator/state_keyed.go",
		rule: "a request with a key that is known is not written again",
		old:  "here = here && known.time >= since",
		new:  "here = here && known.time > 1<<62",
		by:   []check{embedded, simulation, whole},
	},
	{
		name: "keys-spread-otherwise", file: "coordinator/state_keyed.go",
		rule: "a request is known again only as it was spread over the partitions",
		old:  "case here && known.partitions != k.Partitions:",
		new:  "case false:",
		by:   []check{embedded, whole},
	},
	{
		name: "keys-not-opened", file: "coordinator/redis/open.go",
		rule: "a coordinator is opened with the keys of what was recovered",
		old: `	l.keyed(state, at)
`,
		new: "",
		by:  []check{scripts},
	},
	{
		name: "keys-not-in-snapshots", file: "coordinator/state_codec.go",
		rule: "snapshots hold keys",
		old: `		b = appendKeyed(b, 0, p.keyedIn(at))
`,
		new: `		b = appendKeyed(b, 0, nil)
`,
		by: []check{{pkg: "./coordinator", run: "^TestFactsCommute$|^TestGolden$"}, simulation, whole},
	},
	{
		name: "producers-not-opened", file: "coordinator/redis/open.go",
		rule: "a coordinator is opened with what producers wrote",
		old: `			l.hset(key, producerField(rest[0].ProducerID), appendProducer(nil, rest[:n]))
`,
		new: `			_ = key
`,
		by: []check{reopened, scripts},
	},
	{
		name: "old-epoch-admitted", file: "coordinator/state_producer.go",
		rule: "a producer of an older epoch is refused",
		old: `	case b.ProducerEpoch < pr.epoch:
		return 0, ErrProducerEpoch
`,
		new: `	case b.ProducerEpoch < pr.epoch:
		return 0, nil
`,
		by: []check{embedded, whole},
	},
	{
		name: "offsets-version-ignored", file: "coordinator/state_offsets.go",
		rule: "of committed offsets the newest version stands",
		old:  " || o.Version <= g.offsets[p.Partition].version {",
		new:  " {",
		by:   []check{{pkg: "./coordinator", run: "^TestFactsCommute$|Offsets"}, whole},
	},
	{
		name: "name-free-early", file: "coordinator/embedded/propose.go",
		rule: "a deleted topic's name is free only when its deletion is confirmed",
		old:  "if _, settling := e.settling[c.Name]; settling || e.decided.TopicNamed(c.Name) != nil",
		new:  "if e.decided.TopicNamed(c.Name) != nil",
		by:   []check{embedded, whole},
	},
}
