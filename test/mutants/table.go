package main

import "time"

// Checks that many mutants share.
var (
	simulation = check{
		pkg: "./coordinator", run: "^TestProtocol$", seedFlag: "-firn.seeds", seeds: 500, most: 15 * time.Minute,
	}
	whole = check{
		pkg: "./test/sim", run: "^TestSimulation$", args: []string{"-sim.first=0", "-sim.shrink=0", "-sim.repeat=0"},
		seedFlag: "-sim.seeds", seeds: 1500, most: 15 * time.Minute,
	}
	recoveries = check{
		pkg: "./coordinator",
		run: "Restart|Second|Recover|Overtaken|Missing|SealIn|Lost|NodesLive|Snapshots|Silent|Begin|OneChain",
	}
	embedded = check{pkg: "./coordinator/embedded", run: "^TestEmbedded$"}
	views    = check{pkg: "./coordinator", run: "View|Wait|Watch|Catch|Merge|Unreferenced|Young"}
	journals = check{pkg: "./coordinator", run: "Journal|Put|Commute|Golden|Keys"}
	scripts  = check{pkg: "./coordinator/redis", run: "^TestRedis$|^TestAsEmbedded$"}
	reopened = check{pkg: "./coordinator/redis", run: "^TestRedis$/^Reopened$"}
	txns     = check{
		pkg: "./coordinator", run: "^TestTransaction|^TestRecoveryCloses|^TestRecoveryPlaces|^TestOffsetsCount",
	}
	atomics = check{
		pkg: "./coordinator", run: "^TestAtomicProtocol$|^TestRecoveryCompletes|^TestOffsetsCount",
		seedFlag: "-firn.atomicseeds", seeds: 300, most: 15 * time.Minute,
	}
	losses = check{
		pkg: "./coordinator/redis", run: "Lost|Loss|Restart|Replica|Loading|Cluster|Sentinel|Opening|Opened",
	}
	writing    = check{pkg: "./ingest", run: "Lost|Taken|Keys|Order|Duplicate|Help|Lives|Life|Fenced|Watermark|Slow"}
	direct     = check{pkg: "./ingest", run: "^TestDirect"}
	committing = check{pkg: "./groups", run: "Late|GivenUp|GivenAway"}
	collecting = check{pkg: "./cleanup", run: "Merges|Archives|Step|Sift|Cut|Collect|Readers|Lease"}
)

var mutants = []mutant{
	// What is acknowledged is in the journal.
	{
		name: "ack-early", file: "ingest/settle.go",
		rule: "a batch is acknowledged only when the high watermark has passed it",
		old:  "if need >= 0 && !gone && info.HighWatermark <= need || t.ended() {",
		new:  "if need >= 0 && !gone && info.HighWatermark < 0 || t.ended() {",
		by:   []check{writing, whole},
	},
	{
		name: "confirm-early", file: "coordinator/node_journal.go",
		rule: "a fact is confirmed only after it is in the journal",
		old:  "\terr := j.persist(ctx, \"journal put\", func(ctx context.Context) error {",
		new: `	j.confirm(ctx, seqs)
	err := j.persist(ctx, "journal put", func(ctx context.Context) error {`,
		by: []check{journals, writing, recoveries, whole},
	},
	{
		name: "confirm-unjournaled", file: "coordinator/node_journal.go",
		rule: "a fact is confirmed only if its put succeeded",
		old: `	if err == nil {
		err = j.persist(ctx, "confirm"`,
		new: `	if err == nil || true {
		err = j.persist(ctx, "confirm"`,
		by: []check{journals, writing, recoveries, whole},
	},
	{
		name: "help-without-journal", file: "ingest/help.go",
		rule: "who helps journals the facts before confirming them",
		old:  "\tif err := l.Settle(w.ctx, theirs...); err != nil {",
		new: `	for i, e := range theirs {
		f := coordinator.Fact{Incarnation: e.Fact.Incarnation, ProducerIDs: &coordinator.ProducerIDs{}}
		theirs[i].Fact = &f
	}
	if err := l.Settle(w.ctx, theirs...); err != nil {`,
		by: []check{{pkg: "./ingest", run: "Help"}, whole},
	},
	{
		name: "settle-other-incarnation", file: "coordinator/node_journal.go",
		rule: "facts are journaled in a life of the incarnation that decided them only",
		old:  "if e.Fact.Incarnation != in {",
		new:  "if false {",
		by:   []check{{pkg: "./coordinator", run: "^TestSettleOfAnotherIncarnation$"}, simulation, whole},
	},
	{
		name: "unconfirmed-served", file: "coordinator/view.go",
		rule: "only the confirmed prefix is served",
		old:  "if e.Fact.Offsets != nil { // committed",
		new:  "if e.Fact.Offsets != nil || e.Fact.Commit != nil { // committed",
		by:   []check{views, simulation, whole},
	},
	{
		name: "other-put-taken-for-ours", file: "coordinator/bucket_recover.go",
		rule: "a put that meets another object is not ours",
		old:  "return err == nil && bytes.Equal(there, body), err",
		new:  "return err == nil && (true || bytes.Equal(there, body)), err",
		by:   []check{recoveries, simulation, whole},
	},
	{
		name: "segment-taken-for-ours", file: "ingest/put.go",
		rule: "a segment's key that holds other bytes is not ours",
		old:  "if !bytes.Equal(there, body) {",
		new:  "if !bytes.Equal(there, body) && false {",
		by:   []check{{pkg: "./ingest", run: "^TestKeyTaken$"}, whole},
	},

	// A recovery ends all that was before it.
	{
		name: "no-seal", file: "coordinator/bucket_recover.go",
		rule: "a recovery seals every chain",
		old: `	created, err := create(ctx, r.store, o.key(), o.encode())
	if err != nil || !created {
		return 0, err`,
		new: `	created, err := true, error(nil)
	if err != nil || !created {
		return 0, err`,
		by: []check{recoveries, simulation, whole},
	},
	{
		name: "seal-unverified", file: "coordinator/bucket_recover.go",
		rule: "a seal counts only when a later listing shows nothing behind it",
		old: `		for i, c := range open {
			if numbers[i] > 0 {
				ends[c.life] = numbers[i]
			}
		}
`,
		new: `		return chains, nil
`,
		by: []check{recoveries, simulation, whole},
	},
	{
		name: "fence-ignored", file: "coordinator/node_chain.go",
		rule: "a journal put that meets another object ends the life",
		old:  "err == nil && !mine {",
		new:  "err == nil && !mine && false {",
		by:   []check{recoveries, simulation, whole},
	},
	{
		name: "newest-not-looked-for", file: "coordinator/node_begin.go",
		rule: "a life begins only if its incarnation is the newest after its object 0 is there",
		old:  "\tif newest > g.Incarnation {",
		new:  "\tif newest > g.Incarnation && false {",
		by:   []check{{pkg: "./coordinator", run: "NoLife|Begin"}, whole},
	},
	{
		name: "beyond-holes-kept", file: "coordinator/state.go",
		rule: "a recovery keeps each partition up to the first hole",
		old: `		p.beyond = nil
		p.waiting = nil`,
		new: "\t\tp.waiting = nil",
		by:  []check{{pkg: "./coordinator", run: "Truncation|BeyondAHole"}, simulation, whole},
	},
	{
		name: "void-not-created", file: "coordinator/bucket_recover.go",
		rule: "a recovery makes its predecessors that have not opened void",
		old:  "if created, err := create(ctx, r.store, snapshotKey(in, 0), void.encode()); err != nil || created {",
		new:  "if _ = void.encode; true {",
		by:   []check{{pkg: "./coordinator", run: "^TestOvertaken|^TestRecoveriesRace"}, recoveries, simulation, whole},
	},
	{
		name: "gap-ignored", file: "coordinator/bucket_load.go",
		rule: "who finds objects missing that no snapshot covers reads again",
		old:  "if key := missing[o.life]; key != \"\" && o.incarnation == snapshot.incarnation {",
		new:  "if key := missing[o.life]; key == \"?\" {",
		by:   []check{{pkg: "./coordinator", run: "^TestMissingJournalObject$"}, recoveries, simulation, whole},
	},
	{
		name: "settled-after-load", file: "coordinator/node_begin.go",
		rule: "a node asks how far the stream is settled before it loads the bucket",
		old: `	if n.view == nil {
		n.view = NewView(state)`,
		new: `	if later, err := n.opts.Coordinator.Latest(ctx, in); err == nil && recovered == nil {
		seq = later
	}
	if n.view == nil {
		n.view = NewView(state)`,
		by: []check{{pkg: "./coordinator", run: "Catch|NodesLive|Changes"}, writing, whole},
	},
	{
		name: "slow-beginning-lived", file: "coordinator/node_begin.go",
		rule: "a life that took longer to begin than a seal surely lasts does not begin",
		old:  "if Elapsed(c.proved, c.clock()) >= sealsSurely {",
		new:  "if false {",
		by:   []check{{pkg: "./coordinator", run: "^TestSlowBeginning"}, recoveries, whole},
	},
	{
		name: "slow-put-trusted", file: "coordinator/node_chain.go",
		rule: "a put after a long silence looks for what it missed",
		old:  "if Elapsed(c.proved, now) >= sealsSurely {",
		new:  "if false {",
		by:   []check{{pkg: "./coordinator", run: "^TestPutAfterALongTime$"}, journals, simulation, whole},
	},
	{
		name: "silence-unbounded", file: "coordinator/node_chain.go",
		rule: "a direct writer gives up a chain that has been silent",
		old:  "return c.silence > 0 && Elapsed(c.proved, now) >= c.silence",
		new:  "return false",
		by:   []check{{pkg: "./coordinator", run: "^TestGuestGivesUpASilentChain$"}, direct, whole},
	},
	{
		name: "connection-not-looked-for", file: "coordinator/node_chain.go",
		rule: "a put after a long silence looks whether the object before is still there",
		old: `	if errors.Is(err, segments.ErrNotFound) {
		return fmt.Errorf("%w: its chain was sealed while it was silent", ErrFenced)
	}
	return err`,
		new: `	_ = err
	return nil`,
		by: []check{{pkg: "./coordinator", run: "Silent"}, simulation, whole},
	},

	// The coordinator notices that it has lost something.
	{
		name: "run-id-not-compared", file: "coordinator/redis/lua/prelude.lua",
		rule: "what a server holds counts only if it was opened in this life of it",
		old:  "if current[2] ~= here then",
		new:  "if false then",
		by:   []check{{pkg: "./coordinator/redis", run: "^TestRestartIsNoticed$|^TestLossIsNoticed|^TestReplica$"}},
	},
	{
		name: "generation-not-compared", file: "coordinator/redis/lua/prelude.lua",
		rule: "a call of another generation is refused",
		old:  "if current[1] ~= ARGV[1] then",
		new:  "if false then",
		by:   []check{scripts, losses},
	},
	{
		name: "incarnation-not-compared", file: "coordinator/embedded/embedded.go",
		rule: "a call of another incarnation is refused",
		old: `	case e.decided.Incarnation() != in:
		return coordinator.ErrIncarnation
`,
		new: "",
		by:  []check{embedded, simulation, whole},
	},
	{
		name: "opens-lower", file: "coordinator/embedded/embedded.go",
		rule: "a coordinator opens only a higher incarnation than it holds",
		old:  "e.decided.Incarnation() >= state.Incarnation()",
		new:  "false",
		by:   []check{embedded, whole},
	},
	{
		name: "opens-twice", file: "coordinator/generation.go",
		rule: "the opening call of an incarnation is sent once",
		old:  "if s.opening == nil || !s.opening.used.CompareAndSwap(nil, &g) {",
		new:  "if s.opening != nil && s.opening.used.Swap(&g) == &g {",
		by: []check{
			embedded,
			{pkg: "./coordinator/redis", run: "^TestStateIsOpenedOnce$|^TestOpeningThatArrivesTwice$"},
			whole,
		},
	},
	{
		name: "opens-again", file: "coordinator/node_begin.go",
		rule: "an opening whose reply is lost is not sent again, as it once was",
		old:  "\t\t\treturn b.opened(ctx, state.Generation())",
		new:  "\t\t\tstate.opening, _ = &opening{}, b.opened",
		by:   []check{whole},
	},
	{
		name: "opens-half", file: "coordinator/redis/lua/open.lua",
		rule: "a coordinator opens only what was loaded into it since it lost its state",
		old:  "if (redis.call('HGET', KEYS[2], 'parts') or '0') ~= ARGV[3] then",
		new:  "if false then",
		by:   []check{{pkg: "./coordinator/redis", run: "^TestLoadingIsWhole$"}, losses},
	},
	{
		name: "cluster-client-retries", file: "coordinator/redis/script.go",
		rule: "the client library of a cluster does not send a script again",
		old:  "func (once) NoRetry() bool { return true }",
		new:  "func (once) NoRetry() bool { return false }",
		by:   []check{{pkg: "./coordinator/redis", run: "^TestLostReplyOfACluster$"}},
	},
	{
		name: "settled-too-far", file: "coordinator/redis/lua/settled.lua",
		rule: "everything up to the settled number is confirmed",
		old:  "if oldest then return tonumber(oldest) - 1 end",
		new:  "",
		by:   []check{scripts},
	},

	// Nothing is written twice.
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

	// Nothing is deleted that is needed.
	{
		name: "last-object-deleted", file: "coordinator/node_snapshotter.go",
		rule: "the last object of a chain is kept until the chain is sealed",
		old:  "(n < cov.upTo ||",
		new:  "(n <= cov.upTo ||",
		by:   []check{{pkg: "./coordinator", run: "^TestSilentChains|^TestSnapshots$"}, recoveries, simulation, whole},
	},
	{
		name: "seals-deleted-young", file: "coordinator/node_snapshotter.go",
		rule: "seals outlive a put that comes late, by days",
		old:  "n == cov.upTo && cov.sealed && old)",
		new:  "n == cov.upTo && cov.sealed)",
		by:   []check{{pkg: "./coordinator", run: "^TestSilentChains|^TestSnapshots$"}, recoveries, simulation, whole},
	},
	{
		name: "later-chains-covered", file: "coordinator/bucket_load.go",
		rule: "a snapshot does not cover chains of later incarnations",
		old: `		case o.incarnation > f.state.incarnation:
`,
		new: "",
		by:  []check{{pkg: "./coordinator", run: "^TestLaterChains"}, simulation, whole},
	},
	{
		name: "collects-young", file: "coordinator/bucket_garbage.go",
		rule: "only what is too old to be committed or merged is collected",
		old:  "return stores.Sub(created) > age && max(coordinators.Sub(id.Time()), stores.Sub(id.Time())) > age",
		new:  "return true",
		by:   []check{{pkg: "./coordinator", run: "^TestUnreferenced$"}, views, simulation, whole},
	},
	{
		name: "deletes-by-history", file: "coordinator/bucket_delete.go",
		rule: "who deletes looks afterwards whether its incarnation is still the newest",
		old:  "if err != nil || newest == in {",
		new:  "if err != nil || newest >= in {",
		by:   []check{{pkg: "./cleanup", run: "^TestCutOff"}, simulation, whole},
	},
	{
		name: "collects-unsettled", file: "coordinator/bucket_garbage.go",
		rule: "a collector waits until what was decided is in the journal",
		old:  "\t\tif settled >= latest {",
		new:  "\t\tif settled >= latest || true {",
		by:   []check{{pkg: "./coordinator", run: "^TestCollectorWaits"}, whole},
	},
	{
		name: "collects-what-is-listed", file: "coordinator/bucket_garbage.go",
		rule: "a segment that an index object lists is needed",
		old: `	needed := state.references()
	gone, err := needed.read(ctx, c.loader, &c.known)`,
		new: `	needed := state.references()
	var gone []archived
	var err error`,
		by: []check{{pkg: "./coordinator", run: "^TestArchive$|^TestUnreferenced$"}, simulation, collecting, whole},
	},
	{
		name: "loaded-unconfirmed", file: "coordinator/node_begin.go",
		rule: "a node confirms what it read in the journal before it shows it",
		old:  "confirmLoaded(ctx, n.opts.Coordinator, state, seq); err != nil",
		new:  "ctx.Err(); err != nil",
		by:   []check{{pkg: "./coordinator", run: "^TestLoadedIsConfirmed$"}, whole},
	},
	{
		name: "forgotten-committed", file: "coordinator/embedded/commit.go",
		rule: "a commit that was forgotten is refused, also when the clock is set back",
		old:  "prior == nil && slices.Contains(e.forgotten, req.Segment.Time().Unix())",
		new:  "false",
		by:   []check{embedded, whole},
	},
	{
		name: "forgotten-committed-redis", file: "coordinator/redis/lua/commit.lua",
		rule: "the same, in Redis",
		old:  "    if string.sub(seconds, at, at + 3) == second then return {'old', age} end\n",
		new:  "",
		by:   []check{{pkg: "./coordinator/redis", run: "^TestForgotten$"}},
	},
	{
		name: "commits-old", file: "coordinator/embedded/commit.go",
		rule: "a segment that is too old is not committed",
		old:  "age > e.opts.CommitDeadline || ",
		new:  "",
		by:   []check{embedded, simulation, whole},
	},
	{
		name: "merges-old", file: "coordinator/embedded/propose.go",
		rule: "a merged segment that is too old is not merged in",
		old:  "(age > allowed || age < -e.opts.CommitDeadline)",
		new:  "false",
		by:   []check{embedded, simulation, whole},
	},
	{
		name: "merges-young", file: "cleanup/plan.go",
		rule: "only segments that are too old to be committed again are merged",
		old:  "s.Version == 0 && s.Segment.Time().Before(l.ripe)",
		new:  "s.Version == 0",
		by:   []check{{pkg: "./cleanup", run: "^TestPlan$"}, whole},
	},
	{
		name: "retention-one-more", file: "cleanup/retention.go",
		rule: "retention.bytes of the newest records stay",
		old:  "left-s.Length >= config.RetentionBytes",
		new:  "left >= config.RetentionBytes",
		by:   []check{{pkg: "./cleanup", run: "Retention|Expired"}, whole},
	},
	{
		name: "compacts-the-last", file: "cleanup/compact_filter.go",
		rule: "compaction leaves the last record of each key",
		old:  "c.latest.last(hash) > r.Offset",
		new:  "c.latest.last(hash) >= r.Offset",
		by:   []check{{pkg: "./cleanup", run: "Compact"}, whole},
	},
	{
		name: "merges-by-a-wrong-clock", file: "coordinator/embedded/propose.go",
		rule: "a segment that may be committed again is not merged, by the coordinator's clock",
		old:  "age <= coordinator.MergeAge(e.opts.CommitDeadline) {",
		new:  "age <= coordinator.MergeAge(e.opts.CommitDeadline) && false {",
		by:   []check{embedded, whole},
	},
	{
		name: "merges-by-a-wrong-clock-redis", file: "coordinator/redis/lua/propose.lua",
		rule: "the same, in Redis",
		old:  "if age <= tonumber(ARGV[14]) then",
		new:  "if false then",
		by:   []check{scripts},
	},
	{
		name: "merge-without-lease", file: "coordinator/embedded/propose.go",
		rule: "a merge is decided under its lease's epoch",
		old:  "!held || l.epoch != epoch || ",
		new:  "!held || ",
		by:   []check{embedded, whole},
	},
	{
		name: "merge-out-of-turn", file: "coordinator/embedded/propose.go",
		rule: "a merge is decided only if its planner knew the one before",
		old:  "merges != c.After || ",
		new:  "merges != c.After && false || ",
		by:   []check{embedded, simulation, whole},
	},
	{
		name: "merge-beside-pending", file: "coordinator/embedded/propose.go",
		rule: "a merge is decided only if the one before is confirmed",
		old:  "merges != c.After || merging {",
		new:  "merges != c.After || merging && false {",
		by:   []check{embedded, simulation, whole},
	},
	{
		name: "merge-beyond-watermark", file: "coordinator/embedded/propose.go",
		rule: "only what is confirmed is merged",
		old:  "\tif c.Merge.Last >= end {",
		new:  "\tif false {",
		by:   []check{embedded, simulation, whole},
	},

	// What a group committed is what it is told.
	{
		name: "offsets-unnumbered", file: "groups/offsets.go",
		rule: "the owner of a group numbers its commits, so that a late one undoes nothing",
		old:  "\t\tc.Version = t.m.shards[t.shard].nextVersion()",
		new:  "\t\tc.Version = 0",
		by:   []check{committing},
	},
	{
		name: "offsets-numbered-by-arrival", file: "coordinator/embedded/propose.go",
		rule: "a commit has the number that its owner gave it",
		old:  "\tif o.Version == 0 {",
		new:  "\tif o.Version >= 0 {",
		by:   []check{embedded, committing},
	},
	{
		name: "offsets-counter-left-behind", file: "coordinator/redis/lua/offsets.lua",
		rule: "the next owner of a group counts on above all that its owners before it committed",
		old:  "if version > highest then",
		new:  "if version > highest and ARGV[5] == '0' then",
		by:   []check{scripts},
	},
	{
		name: "offsets-numbers-forgotten", file: "groups/numbers.go",
		rule: "an owner that takes its lease again with the same epoch goes on counting",
		old:  "last >= barrier || n.version",
		new:  "n.version",
		by:   []check{committing},
	},
	{
		name: "offsets-told-unasked", file: "groups/consumers.go",
		rule: "who says what is committed makes sure afterwards that nobody else could have decided",
		old:  "return m.told(t.current(ctx))",
		new:  "return nil",
		by:   []check{committing},
	},
	{
		name: "offsets-told-without-lease", file: "groups/ownership.go",
		rule: "who says what is committed still held the lease afterwards, by the coordinator",
		old:  "\terr := t.held(ctx)\n",
		new:  "\tvar err error\n",
		by:   []check{committing},
	},
	{
		name: "offsets-told-without-bucket", file: "groups/ownership.go",
		rule: "who says what is committed still lived in the newest incarnation afterwards, by the bucket",
		old:  "\t\terr = t.life.Current(ctx)\n",
		new:  "\t\terr = nil\n",
		by:   []check{committing},
	},
	{
		name: "deleted-comes-back", file: "ingest/commit.go",
		rule: "after a recovery nothing is committed again that may have been committed, and deleted since",
		old:  "\tif t.giveUp(s); s.unanswered() == 0 {\n",
		new:  "\tif s.unanswered() == 0 {\n",
		by:   []check{{pkg: "./ingest", run: "^TestDeletedIsNotCommittedAgain$"}, whole},
	},
	{
		name: "look-of-before", file: "coordinator/node_look.go",
		rule: "a look for newer incarnations answers nobody who asked after it began",
		old:  "\tl.looks.leave()\n",
		new:  "\tdefer l.looks.leave()\n",
		by:   []check{{pkg: "./coordinator", run: "^TestLooksAreShared$"}},
	},

	// Transactions: docs/internals/transactions.md has the rules.
	{
		name: "txn-place-anew", file: "coordinator/state.go",
		rule: "R3: a recovery places the markers anew that it dropped",
		old:  "\t\tp.placeAnew(dropped)\n",
		new:  "\t\t_ = dropped\n",
		by:   []check{txns},
	},
	{
		name: "txn-ending-whole", file: "coordinator/state_txn_decide.go",
		rule: "R4: an ending brings a marker for each partition in which the transaction is open",
		old:  "case !brought[at]:",
		new:  "case false && !brought[at]:",
		by:   []check{embedded, txns},
	},
	{
		name: "txn-next-complete", file: "coordinator/state_txn_decide.go",
		rule: "R5: the next transaction is admitted when the ending is complete",
		old:  "if t.Aborting || !txns.complete(t.ID, d.marks) {",
		new:  "if t.Aborting {",
		by:   []check{embedded, txns},
	},
	{
		name: "txn-count-complete", file: "coordinator/state_txn.go",
		rule: "R5: offsets count when the ending is complete",
		old:  "if len(e.markers) == 0 || all {",
		new:  "if len(e.markers) >= 0 || all {",
		by:   []check{txns},
	},
	{
		name: "txn-ending-of-life", file: "coordinator/fact_txn.go",
		rule: "R6: an ending is not committed again in another incarnation",
		old:  "case e.Incarnation != in:",
		new:  "case false && e.Incarnation != in:",
		by:   []check{embedded, txns},
	},
	{
		name: "txn-epoch-of-id", file: "coordinator/state_txn_decide.go",
		rule: "R7: the epoch is compared with that of the id, in every partition",
		old:  "if b.ProducerEpoch != t.Epoch {",
		new:  "if b.ProducerEpoch < 0 {",
		by:   []check{embedded, txns},
	},
	{
		name: "txn-fence-confirmed", file: "coordinator/state_txn_decide.go",
		rule: "R7: nothing is decided under a fence that is not in the journal",
		old:  "if c.Fence != nil {\n\t\ts.transactions",
		new:  "if false && c.Fence != nil {\n\t\ts.transactions",
		by:   []check{embedded, txns},
	},
	{
		name: "txn-commit-waits", file: "coordinator/state_txn_decide.go",
		rule: "R13: a commit is decided when all its transaction's records are below the high watermark",
		old:  "case e.Result == Committed && end <= offset:",
		new:  "case false && e.Result == Committed && end <= offset:",
		by:   []check{embedded, txns},
	},
	{
		name: "txn-deleted-confirmed", file: "coordinator/state_txn_decide.go",
		rule: "R16: an ending waits until the deletion of a partition is in the journal",
		old:  "case !usable:",
		new:  "case false && !usable:",
		by:   []check{embedded, txns},
	},
	// Atomic requests: R10 to R12 of docs/internals/transactions.md.
	{
		name: "atomic-whole", file: "coordinator/state_atomic.go",
		rule: "R10: a request of which a batch cannot be written is refused whole",
		old:  "\t\t\t\t\td.refused[b.Atomic-1] = ErrNotWhole\n",
		new:  "\t\t\t\t\t_ = d\n",
		by:   []check{embedded, atomics},
	},
	{
		name: "atomic-place-anew", file: "coordinator/state_txn.go",
		rule: "R10: a recovery places anew what it dropped of a request that is in the journal",
		old:  "\t\t\tp.placeAtomic(&dropped[i])\n",
		new:  "\t\t\t_ = p\n",
		by:   []check{atomics},
	},
	{
		name: "atomic-part", file: "coordinator/state_atomic.go",
		rule: "R10: a part of a request is not decided alone",
		old:  "if d.refused[i] == nil && brought[i] != a.Batches {",
		new:  "if false && brought[i] != a.Batches {",
		by:   []check{embedded},
	},
	{
		name: "atomic-count-complete", file: "coordinator/state_atomic.go",
		rule: "R10: offsets count when all spans are in the prefixes",
		old:  "if s.reach(a.awaited); len(a.awaited) == 0 || all {",
		new:  "if s.reach(a.awaited); len(a.awaited) >= 0 || all {",
		by:   []check{atomics},
	},
	{
		name: "atomic-lease", file: "coordinator/state_atomic.go",
		rule: "R11: the commit compares the epoch of the group's lease",
		old:  "if d.refused[i] = d.holds(o.Lease, o.Epoch); d.refused[i] == nil {",
		new:  "if _ = d.holds(o.Lease, o.Epoch); d.refused[i] == nil {",
		by:   []check{embedded, atomics},
	},
	{
		name: "atomic-wait", file: "coordinator/state_atomic.go",
		rule: "R12: a new owner waits for requests that are decided and not confirmed",
		old:  "\tfor _, p := range v.pending {\n",
		new:  "\tfor _, p := range map[uint64]awaiting{} {\n",
		by:   []check{atomics},
	},
}
