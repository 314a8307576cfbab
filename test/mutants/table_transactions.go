package main

// transactional mutants break this: docs/internals/transactions.md has the rules.
var transactional = []mutant{
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
}
