package txn

import "fmt"

// Step is what can happen. Where package model has the same step, it has the same name.
type Step uint8

const (
	Send Step = iota
	SendOffsets
	SendEnd
	SendInit
	AddPartition
	Acknowledge
	OffsetsAnswered
	EndAnswered
	EndRefused
	InitAnswered
	InitRefused
	Commit
	CommitPlain
	Stage
	Fence
	Timeout
	Bump
	Build
	BuildAbort
	CommitEnding
	Delete
	Expire
	JournalRecord
	JournalPlain
	JournalFact
	JournalDelete
	Compact
	Merge
	DeleteRecords
	Claim
	Request
	Open
	steps
)

var names = [steps]string{
	Send:            "Produce is sent",
	SendOffsets:     "TxnOffsetCommit is sent",
	SendEnd:         "EndTxn is sent",
	SendInit:        "InitProducerId is sent",
	AddPartition:    "AddPartitionsToTxn: Propose",
	Acknowledge:     "a producer is acknowledged",
	OffsetsAnswered: "TxnOffsetCommit is answered",
	EndAnswered:     "EndTxn is answered",
	EndRefused:      "EndTxn is refused",
	InitAnswered:    "InitProducerId is answered",
	InitRefused:     "InitProducerId is refused",
	Commit:          "Commit",
	CommitPlain:     "Commit of another's record",
	Stage:           "TxnOffsetCommit: Propose",
	Fence:           "InitProducerId: Propose of a fence",
	Timeout:         "a timeout: Propose of a fence",
	Bump:            "Propose of the next epoch",
	Build:           "EndTxn: an ending is built",
	BuildAbort:      "an abort of what was fenced is built",
	CommitEnding:    "Commit of an ending",
	Delete:          "Propose of a deletion",
	Expire:          "Propose: an id is forgotten",
	JournalRecord:   "chain.put lands, with a record",
	JournalPlain:    "chain.put lands, with another's record",
	JournalFact:     "chain.put lands, with a fact of an id",
	JournalDelete:   "chain.put lands, with a deletion",
	Compact:         "a partition is compacted",
	Merge:           "a merge makes one batch of two records",
	DeleteRecords:   "DeleteRecords: Propose",
	Claim:           "a claim is handed on",
	Request:         "a function sends its request",
	Open:            "the coordinator is lost, a recovery reads the bucket, and Open",
}

// Move is one thing that happened: what A and B are goes by the step.
type Move struct {
	Step Step
	A, B int8
}

func (v Move) String() string {
	name := names[v.Step]
	switch v.Step {
	case Send, Acknowledge, Commit, JournalRecord:
		return fmt.Sprintf("%s: record %d", name, v.A+1)
	case SendInit, Fence, InitAnswered, InitRefused, EndRefused:
		return fmt.Sprintf("session %d: %s", v.A, name)
	case SendEnd, EndAnswered, Build:
		return fmt.Sprintf("session %d, transaction %d: %s", v.A, v.B, name)
	case SendOffsets, OffsetsAnswered, Stage:
		return fmt.Sprintf("transaction %d: %s", v.A, name)
	case Timeout, BuildAbort, Expire, Bump:
		return fmt.Sprintf("id %d: %s", v.A, name)
	case CommitEnding:
		return fmt.Sprintf("%s: %s, for partitions %03b", name, []string{"", "commit", "abort"}[v.A], v.B)
	case JournalFact:
		kinds := []string{"", "fence", "staged offsets", "partition added", "ending", "expiry"}
		return fmt.Sprintf("%s: %s", name, kinds[v.B])
	case Delete, JournalDelete, AddPartition, Compact, Merge, DeleteRecords:
		return fmt.Sprintf("%s: partition %d", name, v.A)
	case Claim, Request:
		return fmt.Sprintf("worker %d: %s", v.A, name)
	}
	return name
}
