package main

// carrying mutants break this: bytes that come with the journal are there when their fact counts,
// and stay there.
var carrying = []mutant{
	{
		name: "not-carried-yet", file: "coordinator/node_carry.go",
		rule: "the fact of bytes that another chain carries is journaled only when they are there",
		old:  "if err = absent(err); err == nil && !there {",
		new:  "if err = absent(err); err == nil && !there && false {",
		by:   []check{carries, whole},
	},
	{
		name: "carried-again-unsealed", file: "coordinator/node_carry.go",
		rule: "a segment comes into another chain only when the first is sealed without it",
		old:  "if !seal || !errors.Is(err, segments.ErrNotFound) {",
		new:  "if seal = false; !seal || !errors.Is(err, segments.ErrNotFound) {",
		by:   []check{carries, whole},
	},
	{
		name: "carrier-in-place-of-a-seal", file: "coordinator/node_carry.go",
		rule: "an object that lands where a seal was, and is gone again, is not of the journal",
		old:  "return !cov.sealed || cov.upTo > n, nil",
		new:  "return !cov.sealed || cov.upTo > n || true, nil",
		by:   []check{carries, whole},
	},
	{
		name: "carriers-tidied", file: "coordinator/node_snapshotter.go",
		rule: "a journal object stays as long as a span needs its bytes",
		old:  "\t\t_, carrier := t.carriers[object.Key]",
		new:  "\t\tcarrier := false",
		by:   []check{carries, whole},
	},
	{
		name: "seal-behind-carriers-tidied", file: "coordinator/node_snapshotter.go",
		rule: "the seal of a chain stays as long as an object of the chain carries bytes",
		old:  "case ok && life == carrying && number",
		new:  "case false && ok && life == carrying && number",
		by:   []check{carries, whole},
	},
	{
		name: "carried-but-cut-off", file: "ingest/carry.go",
		rule: "what an earlier life was to carry is committed again under its id only if the incarnation has recovered it",
		old:  "case err == nil && there && t.counts(s):",
		new:  "case err == nil && there && (true || t.counts(s)):",
		by:   []check{{pkg: "./ingest", run: "Carried|Missed"}, whole},
	},
	{
		name: "carried-made-younger", file: "ingest/carry.go",
		rule: "a segment that was to be carried keeps its time under another id",
		old:  "t.w.putAlone(s, s.id.Time())",
		new:  "t.w.putAlone(s, t.w.node.Now())",
		by:   []check{{pkg: "./ingest", run: "Carried|Missed"}, whole},
	},
	{
		name: "missing-forever", file: "ingest/carry.go",
		rule: "a commit whose bytes do not come ends the incarnation",
		old:  "waited > missedFor || !w.node.Alive(of.String()) {",
		new:  "false && waited > missedFor && !w.node.Alive(of.String()) {",
		by:   []check{{pkg: "./ingest", run: "Carried|Missed"}, whole},
	},
}
