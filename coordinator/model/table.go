package model

// Code says where in the code a step happens: every put, delete and listing of the bucket, as
// package, function and method, and every script of package redis. Methods of
// coordinator.Coordinator are in Methods. A test compares this with the code in both directions.
var Code = map[Step][]string{
	Begin:             {"coordinator chain.begin create"},
	CheckNewest:       {"coordinator newestIncarnation List"},
	Locate:            {"coordinator loader.listSnapshots List"},
	Load:              {"coordinator loader.listChains List"},
	ListChains:        {"coordinator loader.listChains List"},
	NewSegment:        {"ingest uploader.attempt Put"},
	JournalPut:        {"coordinator chain.attempt Put"},
	CreateIncarnation: {"coordinator recovery.createIncarnation create"},
	SettleOne:         {"coordinator recovery.settleOne create"},
	SealChain:         {"coordinator recovery.sealChain create"},
	SealSilent:        {"coordinator recovery.sealChain create"},
	PutOpening:        {"coordinator recovery.open create"},
	Snapshot:          {"coordinator snapshotter.write create"},
	Tidy:              {"coordinator tidier.look List"},
	DeleteLands:       {"coordinator snapshotter.tidy Delete"},
	PlanMerge:         {"cleanup job.create Create", "cleanup timed.Put Put", "coordinator Node.Archive Put"},
	CollectList:       {"coordinator collector.list List"},
	CollectCheck:      {"cleanup collector.collect Delete"},

	Generation:    {"redis look"},
	LoadParts:     {"redis load"},
	Open:          {"redis open"},
	LookOpened:    {"redis look"},
	Commit:        {"redis commit"},
	Confirm:       {"redis confirm"},
	Settled:       {"redis settled"},
	CollectLatest: {"redis latest"},
	Propose:       {"redis propose"},
	HighWatermarks: {
		"redis marks",
	},
	Follow: {"redis watch"},
}

// Beyond is what the code does that the model does not have, and why.
var Beyond = map[string]string{
	"coordinator create Put":      "what all calls of create do: each of them is a step",
	"coordinator Delete Delete":   "what all calls of Delete do, after they have looked for the newest incarnation",
	"coordinator audit.list List": "an audit reads, and decides nothing",

	"redis topic":    "topics: facts that commute as commits do; the simulation has them decided before it begins",
	"redis named":    "a lookup of a topic's name",
	"redis keyed":    "a lookup: a key that it does not find is looked for again by Commit",
	"redis offsets":  "a step of Offsets, the model of committed offsets",
	"redis forget":   "producers that have been silent for a day are no retry any more",
	"redis acquire":  "leases spare work: two holders at once are searched; those of groups are in Offsets",
	"redis release":  "as acquire",
	"redis now":      "a clock: what is old may be judged late, and is needless whenever it is",
	"redis register": "the registry is for clients",
	"redis nodes":    "as register",

	"redis txn_look":   "a lookup, for a step of package txn",
	"redis txn_change": "steps of package txn: a fence, an addition, offsets that are staged, an id that is forgotten",
}

// Methods are the methods of coordinator.Coordinator: the step that stands for each, or why there
// is none.
var Methods = map[string]string{
	"Generation":     names[Generation],
	"Open":           names[Open],
	"Commit":         names[Commit],
	"Confirm":        names[Confirm],
	"Settled":        names[Settled],
	"Latest":         names[CollectLatest],
	"Propose":        names[Propose] + ", of merges; other changes are facts that commute as commits do",
	"Follow":         names[Follow],
	"HighWatermarks": names[HighWatermarks],
	"Keyed":          "none: a lookup, and Commit looks again",
	"Topic":          "none: a lookup of a topic",

	"TransactionalID": "none: a lookup, for a step of package txn",
	"Acquire":         "none: leases spare work, and what two holders do at once is searched; a step of Offsets",
	"Release":         "none: as Acquire",
	"Now":             "none: a clock",
	"Register":        "none: the registry is for clients",
	"Nodes":           "none: as Register",
}

// Simulated are the calls of the simulation in package coordinator, by the names that it gives
// them.
var Simulated = map[string]Step{
	"generation":    Generation,
	"open":          Open,
	"begin":         Begin,
	"settled":       Settled,
	"latest":        CollectLatest,
	"follow":        Follow,
	"commit":        Commit,
	"confirm":       Confirm,
	"propose merge": Propose,
	"acknowledge":   Acknowledge,
}

// BeyondSimulation are the names that the simulation has beside those.
var BeyondSimulation = map[string]string{
	"lease":   "as Acquire",
	"read ":   "of a segment that is merged: planning is one step",
	"put ":    "each put is a step by its key",
	"get ":    "each read is part of the step that needs it: objects do not change",
	"list ":   "as put",
	"delete ": "as put",

	"transactional id": "a lookup, for steps of package txn",
	"propose id":       "steps of package txn: fences of producers and of timeouts",

	"acquire": "the lease of a group of functions: a step of package txn, a claim is handed on",
	"renew":   "as acquire",
	"release": "as acquire",
	"barrier": "as acquire",
}
