package model

// code says where in the code a step happens: every put, delete and listing of the bucket, as
// package, function and method, and every script of package redis. Methods of
// coordinator.Coordinator are in methods. A test compares this with the code in both directions.
var code = map[step][]string{
	begin:             {"coordinator chain.begin create"},
	checkNewest:       {"coordinator newestIncarnation List"},
	locate:            {"coordinator loader.listSnapshots List"},
	load:              {"coordinator loader.listChains List"},
	listChains:        {"coordinator loader.listChains List"},
	newSegment:        {"ingest uploader.attempt Put"},
	journalPut:        {"coordinator chain.attempt Put"},
	createIncarnation: {"coordinator recovery.createIncarnation create"},
	settleOne:         {"coordinator recovery.settleOne create"},
	sealChain:         {"coordinator recovery.sealChain create"},
	sealSilent:        {"coordinator recovery.sealChain create"},
	putOpening:        {"coordinator recovery.open create"},
	putSnapshot:       {"coordinator snapshotter.write create"},
	tidy:              {"coordinator tidier.look List"},
	deleteLands:       {"coordinator snapshotter.tidy Delete"},
	planMerge:         {"cleanup job.create Create", "cleanup timed.Put Put", "coordinator Node.Archive Put"},
	collectList:       {"coordinator collector.list List"},
	collectCheck:      {"cleanup collector.collect Delete"},

	askGeneration: {"redis look"},
	loadParts:     {"redis load"},
	open:          {"redis open"},
	lookOpened:    {"redis look"},
	commit:        {"redis commit"},
	confirm:       {"redis confirm"},
	askSettled:    {"redis settled"},
	collectLatest: {"redis latest"},
	propose:       {"redis propose"},
	highWatermarks: {
		"redis marks",
	},
	follow: {"redis watch"},
}

// beyond is what the code does that the model does not have, and why.
var beyond = map[string]string{
	"coordinator create Put":        "what all calls of create do: each of them is a step",
	"coordinator Delete Delete":     "what all calls of Delete do, after they have looked for the newest incarnation",
	"coordinator audit.list List":   "an audit reads, and decides nothing",
	"coordinator watched.Put Put":   "what all puts of a recovery do: it counts them",
	"coordinator watched.List List": "likewise",

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

	"redis recovering": "advice on when to begin a recovery, which is a step that any process may take at any time",

	"redis txn_look":   "a lookup, for a step of package txn",
	"redis txn_change": "steps of package txn: a fence, an addition, offsets that are staged, an id that is forgotten",
}

// methods are the methods of coordinator.Coordinator: the step that stands for each, or why there
// is none.
var methods = map[string]string{
	"Generation":     names[askGeneration],
	"Open":           names[open],
	"Commit":         names[commit],
	"Confirm":        names[confirm],
	"Settled":        names[askSettled],
	"Latest":         names[collectLatest],
	"Propose":        names[propose] + ", of merges; other changes are facts that commute as commits do",
	"Follow":         names[follow],
	"HighWatermarks": names[highWatermarks],
	"Keyed":          "none: a lookup, and Commit looks again",
	"Topic":          "none: a lookup of a topic",

	"TransactionalID": "none: a lookup, for a step of package txn",
	"Acquire":         "none: leases spare work, and what two holders do at once is searched; a step of Offsets",
	"Release":         "none: as Acquire",
	"Now":             "none: a clock",
	"Register":        "none: the registry is for clients",
	"Nodes":           "none: as Register",

	"AnnounceRecovery":  "none: advice on when to begin a recovery, which any process may at any time",
	"AnnouncedRecovery": "none: as AnnounceRecovery",
}

// simulated are the calls of the simulation in package coordinator, by the names that it gives
// them.
var simulated = map[string]step{
	"generation":    askGeneration,
	"open":          open,
	"begin":         begin,
	"settled":       askSettled,
	"latest":        collectLatest,
	"follow":        follow,
	"commit":        commit,
	"confirm":       confirm,
	"propose merge": propose,
	"acknowledge":   acknowledge,
}

// beyondSimulation are the names that the simulation has beside those.
var beyondSimulation = map[string]string{
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
