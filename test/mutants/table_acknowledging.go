package main

// acknowledging mutants break this: what is acknowledged is in the journal.
var acknowledging = []mutant{
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
}
