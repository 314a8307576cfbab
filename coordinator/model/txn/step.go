package txn

import "fmt"

// step is what can happen. Where package model has the same step, it has the same name.
type step uint8

const (
	send step = iota
	sendOffsets
	sendEnd
	sendInit
	addPartition
	acknowledge
	offsetsAnswered
	endAnswered
	endRefused
	initAnswered
	initRefused
	commitRecord
	commitPlain
	stage
	fence
	timeout
	bump
	build
	buildAbort
	commitEnding
	deleteRecord
	expire
	journalRecord
	journalPlain
	journalFact
	journalDelete
	compact
	merge
	deleteRecords
	claim
	request
	open
	steps
)

var names = [steps]string{
	send:            "Produce is sent",
	sendOffsets:     "TxnOffsetCommit is sent",
	sendEnd:         "EndTxn is sent",
	sendInit:        "InitProducerId is sent",
	addPartition:    "AddPartitionsToTxn: Propose",
	acknowledge:     "a producer is acknowledged",
	offsetsAnswered: "TxnOffsetCommit is answered",
	endAnswered:     "EndTxn is answered",
	endRefused:      "EndTxn is refused",
	initAnswered:    "InitProducerId is answered",
	initRefused:     "InitProducerId is refused",
	commitRecord:    "Commit",
	commitPlain:     "Commit of another's record",
	stage:           "TxnOffsetCommit: Propose",
	fence:           "InitProducerId: Propose of a fence",
	timeout:         "a timeout: Propose of a fence",
	bump:            "Propose of the next epoch",
	build:           "EndTxn: an ending is built",
	buildAbort:      "an abort of what was fenced is built",
	commitEnding:    "Commit of an ending",
	deleteRecord:    "Propose of a deletion",
	expire:          "Propose: an id is forgotten",
	journalRecord:   "chain.put lands, with a record",
	journalPlain:    "chain.put lands, with another's record",
	journalFact:     "chain.put lands, with a fact of an id",
	journalDelete:   "chain.put lands, with a deletion",
	compact:         "a partition is compacted",
	merge:           "a merge makes one batch of two records",
	deleteRecords:   "DeleteRecords: Propose",
	claim:           "a claim is handed on",
	request:         "a function sends its request",
	open:            "the coordinator is lost, a recovery reads the bucket, and Open",
}

// transition is one thing that happened: what A and B are goes by the step.
type transition struct {
	Step step
	A, B int8
}

func (v transition) String() string {
	name := names[v.Step]
	switch v.Step {
	case send, acknowledge, commitRecord, journalRecord:
		return fmt.Sprintf("%s: record %d", name, v.A+1)
	case sendInit, fence, initAnswered, initRefused, endRefused:
		return fmt.Sprintf("session %d: %s", v.A, name)
	case sendEnd, endAnswered, build:
		return fmt.Sprintf("session %d, transaction %d: %s", v.A, v.B, name)
	case sendOffsets, offsetsAnswered, stage:
		return fmt.Sprintf("transaction %d: %s", v.A, name)
	case timeout, buildAbort, expire, bump:
		return fmt.Sprintf("id %d: %s", v.A, name)
	case commitEnding:
		return fmt.Sprintf("%s: %s, for partitions %03b", name, []string{"", "commit", "abort"}[v.A], v.B)
	case journalFact:
		kinds := []string{"", "fence", "staged offsets", "partition added", "ending", "expiry"}
		return fmt.Sprintf("%s: %s", name, kinds[v.B])
	case deleteRecord, journalDelete, addPartition, compact, merge, deleteRecords:
		return fmt.Sprintf("%s: partition %d", name, v.A)
	case claim, request:
		return fmt.Sprintf("worker %d: %s", v.A, name)
	}
	return name
}
