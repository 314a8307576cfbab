package model

import (
	"fmt"
	"strings"
)

// step is what can happen. Its name is that of the code it stands for: see table.go.
type step uint8

const (
	askGeneration step = iota
	begin
	beginLate
	checkNewest
	askSettled
	locate
	load
	newSegment
	commit
	answer
	resolve
	learn
	journalPut
	journalPutLands
	journalPutAnswered
	confirm
	follow
	highWatermarks
	acknowledge
	lifeOver
	crash
	createIncarnation
	createIncarnationLands
	settleOne
	settleOneLands
	listChains
	sealChain
	sealLands
	rebuild
	putOpening
	openingLands
	loadParts
	sendOpen
	open
	lookOpened
	openAgain
	putSnapshot
	snapshotLands
	tidy
	deleteLands
	sealSilent
	planMerge
	propose
	collectList
	collectLatest
	collectSettled
	collectLoad
	collectCheck
	collectDeleteLands
	flush
	save
	rewind
	failover
	tick
	steps
)

var names = [steps]string{
	askGeneration:          "Generation",
	begin:                  "chain.begin",
	beginLate:              "chain.begin is given up",
	checkNewest:            "chain.begin looks for the newest incarnation",
	askSettled:             "Settled",
	locate:                 "newestSnapshot",
	load:                   "load",
	newSegment:             "a segment is put",
	commit:                 "Commit",
	answer:                 "the answer to Commit arrives",
	resolve:                "what became of a carried segment is found out",
	learn:                  "Follow shows a decision",
	journalPut:             "chain.put",
	journalPutLands:        "chain.put lands",
	journalPutAnswered:     "chain.put is answered",
	confirm:                "Confirm",
	follow:                 "Follow shows what is confirmed",
	highWatermarks:         "HighWatermarks",
	acknowledge:            "a producer is acknowledged",
	lifeOver:               "the life is over",
	crash:                  "crash",
	createIncarnation:      "createIncarnation",
	createIncarnationLands: "createIncarnation lands",
	settleOne:              "settleOne",
	settleOneLands:         "settleOne lands",
	listChains:             "listChains",
	sealChain:              "sealChain",
	sealLands:              "sealChain lands",
	rebuild:                "rebuild",
	putOpening:             "recovery.open",
	openingLands:           "recovery.open lands",
	loadParts:              "the parts of Open are loaded",
	sendOpen:               "Open is sent",
	open:                   "Open",
	lookOpened:             "Open is looked for",
	openAgain:              "Open is sent again",
	putSnapshot:            "snapshotter.write",
	snapshotLands:          "snapshotter.write lands",
	tidy:                   "tidier.look",
	deleteLands:            "snapshotter.tidy's delete lands",
	sealSilent:             "sealSilent",
	planMerge:              "a merge is planned and its segment put",
	propose:                "Propose",
	collectList:            "collector.list",
	collectLatest:          "Latest",
	collectSettled:         "settleAll",
	collectLoad:            "collector loads",
	collectCheck:           "collector looks for the newest incarnation",
	collectDeleteLands:     "the collector's delete lands",
	flush:                  "the coordinator loses its state",
	save:                   "the coordinator's state is saved",
	rewind:                 "the coordinator is restarted with an earlier state",
	failover:               "failover to an earlier state",
	tick:                   "time passes",
}

// transition is one thing that happened, to whom: what A, B and C are goes by the step.
type transition struct {
	Step    step
	A, B, C int8
}

func (m transition) String() string {
	var b strings.Builder
	switch m.Step {
	case journalPutLands, sealLands, deleteLands:
		fmt.Fprintf(&b, "chain %d: %s at number %d", m.A, names[m.Step], m.B)
	case commit:
		fmt.Fprintf(&b, "coordinator %d: Commit of segment %d", m.A, m.B+1)
		if m.C > 0 {
			fmt.Fprintf(&b, ", carried by life %d", m.C)
		}
	case confirm:
		fmt.Fprintf(&b, "coordinator %d: Confirm of offset %d", m.A, m.B)
	case open, propose, flush, save, rewind, failover:
		fmt.Fprintf(&b, "coordinator %d: %s %d", m.A, names[m.Step], m.B)
	case createIncarnationLands, settleOneLands, openingLands, snapshotLands:
		fmt.Fprintf(&b, "incarnation %d: %s", m.A, names[m.Step])
	case collectDeleteLands:
		fmt.Fprintf(&b, "%s: object %d", names[m.Step], m.A)
	case tick:
		b.WriteString(names[m.Step])
	case newSegment, answer, resolve, acknowledge:
		fmt.Fprintf(&b, "node %d: %s (segment %d)", m.A, names[m.Step], m.B+1)
	case sealChain, sealSilent:
		fmt.Fprintf(&b, "node %d: %s of chain %d", m.A, names[m.Step], m.B)
	case settleOne:
		fmt.Fprintf(&b, "node %d: settleOne of incarnation %d", m.A, m.B)
	case planMerge:
		fmt.Fprintf(&b, "node %d: %s: offsets %d-%d", m.A, names[m.Step], m.B, m.C)
	default:
		fmt.Fprintf(&b, "node %d: %s", m.A, names[m.Step])
	}
	return b.String()
}
