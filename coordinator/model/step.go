package model

import (
	"fmt"
	"strings"
)

// Step is what can happen. Its name is that of the code it stands for: see Table.
type Step uint8

const (
	Generation Step = iota
	Begin
	BeginLate
	CheckNewest
	Settled
	Locate
	Load
	NewSegment
	Commit
	Answer
	Resolve
	Learn
	JournalPut
	JournalPutLands
	JournalPutAnswered
	Confirm
	Follow
	HighWatermarks
	Acknowledge
	LifeOver
	Crash
	CreateIncarnation
	CreateIncarnationLands
	SettleOne
	SettleOneLands
	ListChains
	SealChain
	SealLands
	Rebuild
	PutOpening
	OpeningLands
	LoadParts
	SendOpen
	Open
	LookOpened
	OpenAgain
	Snapshot
	SnapshotLands
	Tidy
	DeleteLands
	SealSilent
	PlanMerge
	Propose
	CollectList
	CollectLatest
	CollectSettled
	CollectLoad
	CollectCheck
	CollectDeleteLands
	Flush
	Save
	Rewind
	Failover
	Tick
	steps
)

var names = [steps]string{
	Generation:             "Generation",
	Begin:                  "chain.begin",
	BeginLate:              "chain.begin is given up",
	CheckNewest:            "chain.begin looks for the newest incarnation",
	Settled:                "Settled",
	Locate:                 "newestSnapshot",
	Load:                   "load",
	NewSegment:             "a segment is put",
	Commit:                 "Commit",
	Answer:                 "the answer to Commit arrives",
	Resolve:                "what became of a carried segment is found out",
	Learn:                  "Follow shows a decision",
	JournalPut:             "chain.put",
	JournalPutLands:        "chain.put lands",
	JournalPutAnswered:     "chain.put is answered",
	Confirm:                "Confirm",
	Follow:                 "Follow shows what is confirmed",
	HighWatermarks:         "HighWatermarks",
	Acknowledge:            "a producer is acknowledged",
	LifeOver:               "the life is over",
	Crash:                  "crash",
	CreateIncarnation:      "createIncarnation",
	CreateIncarnationLands: "createIncarnation lands",
	SettleOne:              "settleOne",
	SettleOneLands:         "settleOne lands",
	ListChains:             "listChains",
	SealChain:              "sealChain",
	SealLands:              "sealChain lands",
	Rebuild:                "rebuild",
	PutOpening:             "recovery.open",
	OpeningLands:           "recovery.open lands",
	LoadParts:              "the parts of Open are loaded",
	SendOpen:               "Open is sent",
	Open:                   "Open",
	LookOpened:             "Open is looked for",
	OpenAgain:              "Open is sent again",
	Snapshot:               "snapshotter.write",
	SnapshotLands:          "snapshotter.write lands",
	Tidy:                   "tidier.look",
	DeleteLands:            "snapshotter.tidy's delete lands",
	SealSilent:             "sealSilent",
	PlanMerge:              "a merge is planned and its segment put",
	Propose:                "Propose",
	CollectList:            "collector.list",
	CollectLatest:          "Latest",
	CollectSettled:         "settleAll",
	CollectLoad:            "collector loads",
	CollectCheck:           "collector looks for the newest incarnation",
	CollectDeleteLands:     "the collector's delete lands",
	Flush:                  "the coordinator loses its state",
	Save:                   "the coordinator's state is saved",
	Rewind:                 "the coordinator is restarted with an earlier state",
	Failover:               "failover to an earlier state",
	Tick:                   "time passes",
}

// Move is one thing that happened, to whom: what A, B and C are goes by the step.
type Move struct {
	Step    Step
	A, B, C int8
}

func (m Move) String() string {
	var b strings.Builder
	switch m.Step {
	case JournalPutLands, SealLands, DeleteLands:
		fmt.Fprintf(&b, "chain %d: %s at number %d", m.A, names[m.Step], m.B)
	case Commit:
		fmt.Fprintf(&b, "coordinator %d: Commit of segment %d", m.A, m.B+1)
		if m.C > 0 {
			fmt.Fprintf(&b, ", carried by life %d", m.C)
		}
	case Confirm:
		fmt.Fprintf(&b, "coordinator %d: Confirm of offset %d", m.A, m.B)
	case Open, Propose, Flush, Save, Rewind, Failover:
		fmt.Fprintf(&b, "coordinator %d: %s %d", m.A, names[m.Step], m.B)
	case CreateIncarnationLands, SettleOneLands, OpeningLands, SnapshotLands:
		fmt.Fprintf(&b, "incarnation %d: %s", m.A, names[m.Step])
	case CollectDeleteLands:
		fmt.Fprintf(&b, "%s: object %d", names[m.Step], m.A)
	case Tick:
		b.WriteString(names[m.Step])
	case NewSegment, Answer, Resolve, Acknowledge:
		fmt.Fprintf(&b, "node %d: %s (segment %d)", m.A, names[m.Step], m.B+1)
	case SealChain, SealSilent:
		fmt.Fprintf(&b, "node %d: %s of chain %d", m.A, names[m.Step], m.B)
	case SettleOne:
		fmt.Fprintf(&b, "node %d: settleOne of incarnation %d", m.A, m.B)
	case PlanMerge:
		fmt.Fprintf(&b, "node %d: %s: offsets %d-%d", m.A, names[m.Step], m.B, m.C)
	default:
		fmt.Fprintf(&b, "node %d: %s", m.A, names[m.Step])
	}
	return b.String()
}
