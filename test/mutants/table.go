package main

import (
	"slices"
	"time"
)

// Checks that many mutants share.
var (
	simulation = check{
		pkg: "./coordinator", run: "^TestProtocol$", seedFlag: "-firn.seeds", seeds: 500, most: 15 * time.Minute,
	}
	whole = check{
		pkg: "./test/sim", run: "^TestSimulation$", args: []string{"-sim.first=0", "-sim.shrink=0", "-sim.repeat=0"},
		seedFlag: "-sim.seeds", seeds: 1500, most: 15 * time.Minute,
	}
	recoveries = check{
		pkg: "./coordinator",
		run: "Restart|Second|Recover|Overtaken|Missing|SealIn|Lost|NodesLive|Snapshots|Silent|Begin|OneChain",
	}
	embedded = check{pkg: "./coordinator/embedded", run: "^TestEmbedded$"}
	views    = check{pkg: "./coordinator", run: "View|Wait|Watch|Catch|Merge|Unreferenced|Young"}
	journals = check{pkg: "./coordinator", run: "Journal|Put|Commute|Golden|Keys"}
	scripts  = check{pkg: "./coordinator/redis", run: "^TestRedis$|^TestAsEmbedded$"}
	reopened = check{pkg: "./coordinator/redis", run: "^TestRedis$/^Reopened$"}
	txns     = check{
		pkg: "./coordinator", run: "^TestTransaction|^TestRecoveryCloses|^TestRecoveryPlaces|^TestOffsetsCount",
	}
	atomics = check{
		pkg: "./coordinator", run: "^TestAtomicProtocol$|^TestRecoveryCompletes|^TestOffsetsCount",
		seedFlag: "-firn.atomicseeds", seeds: 300, most: 15 * time.Minute,
	}
	losses = check{
		pkg: "./coordinator/redis", run: "Lost|Loss|Restart|Replica|Loading|Cluster|Sentinel|Opening|Opened",
	}
	carries    = check{pkg: "./coordinator", run: "Carr"}
	writing    = check{pkg: "./ingest", run: "Lost|Taken|Keys|Order|Duplicate|Help|Lives|Life|Fenced|Watermark|Slow"}
	direct     = check{pkg: "./ingest", run: "^TestDirect"}
	committing = check{pkg: "./groups", run: "Late|GivenUp|GivenAway"}
	collecting = check{pkg: "./cleanup", run: "Merges|Archives|Step|Sift|Cut|Collect|Readers|Lease"}
)

// mutants are the rules of the protocol, each broken once in the code, by what the rules are for.
var mutants = slices.Concat(
	acknowledging, recovering, losing, once, deleting, committed, transactional, atomic, carrying,
)
