package main

// atomic mutants break this: R10 to R12 of docs/internals/transactions.md.
var atomic = []mutant{
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
