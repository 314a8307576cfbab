package main

// recovering mutants break this: a recovery ends all that was before it.
var recovering = []mutant{
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
		by:   []check{{pkg: "./coordinator", run: "NoLifeBeside|Beginning"}, whole},
	},
	{
		name: "newest-not-looked-for-again", file: "coordinator/node_begin.go",
		rule: "a life begins only if its incarnation is the newest after the bucket was read",
		old:  "if err == nil && newest > in {",
		new:  "if err == nil && newest > in && false {",
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
}
