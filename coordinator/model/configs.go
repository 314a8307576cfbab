package model

// shortConfigs are the configurations that every test run searches. All of each is searched: doc.go
// says how many states that are.
var shortConfigs = []*config{
	{
		Name: "tiny", About: "two nodes write, follow, help and acknowledge",
		Nodes: 2, Owners: []int{0, 1}, Lives: 1, Objects: 4,
		States: 9_510,
	},
	{
		Name: "hole", About: "a commit is journaled behind one that is not, and the coordinator loses everything",
		Nodes: 2, Owners: []int{0, 1}, Lives: 2, Objects: 2, Recoveries: 1, Flushes: 1, Alone: true,
		States: 5_497,
	},
	{
		Name:  "flush",
		About: "the coordinator loses everything twice without a restart; two recoveries, whose puts may come late",
		Nodes: 2, Owners: []int{0}, Lives: 2, Objects: 3, Recoveries: 2, Flushes: 2, Late: true, Alone: true,
		States: 102_627,
	},
	{
		Name: "open", About: "the coordinator loses everything twice, and openings come late and again",
		Nodes: 2, Owners: []int{0, 1}, Lives: 2, Objects: 3, Recoveries: 1, Flushes: 2, Alone: true,
		States: 10_759,
	},
	{
		Name: "rivals", About: "two recoveries at once, after a restart",
		Nodes: 2, Owners: []int{0}, Lives: 2, Objects: 3, Recoveries: 2, Rewinds: 1, Late: true, Alone: true,
		States: 40_520,
	},
	{
		Name: "snapshots", About: "snapshots, tidying and a recovery",
		Nodes: 2, Owners: []int{0}, Lives: 2, Objects: 3, Recoveries: 1, Rewinds: 1, Snapshots: 1, Tidy: true,
		Alone:  true,
		States: 42_649,
	},
	{
		Name: "keys", About: "two nodes write one request",
		Nodes: 2, Owners: []int{0, 1}, Keyed: 3, Lives: 2, Objects: 3, Recoveries: 1, Rewinds: 1, Snapshots: 1,
		Alone:  true,
		States: 22_545,
	},
	{
		Name: "thaw", About: "a process thaws when the seal that a recovery put is gone",
		Nodes: 2, Owners: []int{0}, Lives: 2, Objects: 3, Split: true, Ticks: 1, Tidy: true, Exclusive: true,
		Alone:  true,
		States: 15_788,
	},
	{
		Name: "thawed", About: "a direct writer thaws when the seal of its silent chain is gone",
		Nodes: 2, Guest: 1, Owners: []int{1}, Lives: 1, Objects: 3, Ticks: 2, Snapshots: 1, Tidy: true,
		Quiet: true, Alone: true,
		States: 8_559,
	},
	{
		Name: "stale", About: "what comes late hides that a chain was sealed from a life in the incarnation before",
		Nodes: 2, Owners: []int{0}, Lives: 2, Objects: 3, Stale: true, Tidy: true, Quiet: true, Recoveries: 1, Flushes: 1,
		Alone:  true,
		States: 33_729,
	},
	{
		Name: "guest", About: "a direct writer beside a node, and a restart",
		Nodes: 2, Guest: 1, Owners: []int{0, 1}, Lives: 2, Objects: 3, Recoveries: 1, Rewinds: 1, Alone: true,
		States: 7_461,
	},
	{
		Name: "carry", About: "a node commits first and puts records and facts at once; nodes may crash in between",
		Nodes: 2, Owners: []int{0, 1}, Carried: 1, Lives: 2, Objects: 3, Recoveries: 1, Crashes: 1, Alone: true,
		States: 90_708,
	},
	{
		Name: "carried", About: "the same, and the coordinator loses everything",
		Nodes: 2, Owners: []int{0, 1}, Carried: 3, Lives: 2, Objects: 3, Recoveries: 1, Flushes: 1, Alone: true,
		States: 23_207,
	},
	{
		Name: "carryhole", About: "a carried segment is journaled behind a hole, and tidied away after a recovery",
		Nodes: 2, Owners: []int{0, 1}, Carried: 3, Lives: 2, Objects: 3, Recoveries: 1, Flushes: 1, Tidy: true,
		Alone:  true,
		States: 186_141,
	},
	{
		Name: "carriers", About: "a journal object that carries records is merged and tidied away",
		Nodes: 1, Owners: []int{0}, Carried: 1, Lives: 2, Objects: 4, Snapshots: 2, Merges: 1, Ticks: 1, Tidy: true,
		Recoveries: 1, Rewinds: 1,
		States: 117_937,
	},
	{
		Name: "merge", About: "a merge and a recovery",
		Nodes: 2, Owners: []int{0}, Lives: 2, Objects: 4, Merges: 1, Ticks: 1, Recoveries: 1, Rewinds: 1,
		Alone:  true,
		States: 37_726,
	},
	{
		Name: "again", About: "a segment is merged, and committed again after a recovery",
		Nodes: 1, Owners: []int{0}, Lives: 2, Objects: 4, Merges: 1, Ticks: 1, Recoveries: 1, Rewinds: 1,
		States: 1_262,
	},
	{
		Name: "merges", About: "two merges",
		Nodes: 1, Owners: []int{0, 0}, Lives: 1, Objects: 4, Merges: 2, Ticks: 1,
		States: 11_909,
	},
	{
		Name: "garbage", About: "a merge and garbage",
		Nodes: 1, Owners: []int{0}, Lives: 1, Objects: 4, Merges: 1, Ticks: 3, Collections: 2,
		States: 2_193,
	},
	{
		Name: "cutoff", About: "a node that is cut off in an old incarnation collects",
		Nodes: 2, Owners: []int{1}, Lives: 2, Objects: 3, Split: true, Ticks: 2, Collections: 1, Alone: true,
		States: 11_357,
	},
	{
		Name: "collect", About: "garbage is collected beside commits",
		Nodes: 2, Owners: []int{0, 1}, Lives: 1, Objects: 3, Ticks: 2, Collections: 1, Alone: true,
		States: 14_543,
	},
}

// longConfigs are further configurations, which take minutes.
var longConfigs = []*config{
	{
		Name: "crash", About: "as tiny, and a crash",
		Nodes: 2, Owners: []int{0, 1}, Lives: 2, Objects: 3, Crashes: 1, Loads: true,
		States: 373_779,
	},
	{
		Name: "restart", About: "the coordinator is restarted, empty or with an earlier state; others help",
		Nodes: 2, Owners: []int{0, 1}, Lives: 2, Objects: 3, Recoveries: 1, Rewinds: 1, Saves: 1,
		States: 342_734,
	},
	{
		Name: "split", About: "failover, and nodes that go on with the old coordinator",
		Nodes: 2, Owners: []int{0, 1}, Lives: 2, Objects: 3, Recoveries: 1, Failovers: 1, Alone: true,
		States: 813_435,
	},
	{
		Name: "splits", About: "the same, to an empty one or to an earlier state, and two recoveries",
		Nodes: 2, Owners: []int{0, 1}, Lives: 2, Objects: 2, Recoveries: 2, Failovers: 1, Saves: 1, Alone: true,
	},
	{
		Name: "three", About: "three nodes, two of which write, and a restart",
		Nodes: 3, Owners: []int{0, 1}, Lives: 2, Objects: 2, Recoveries: 1, Rewinds: 1, Alone: true,
		States: 56_732,
	},
	{
		Name: "segments", About: "three segments and a restart",
		Nodes: 2, Owners: []int{0, 0, 1}, Lives: 2, Objects: 3, Recoveries: 1, Rewinds: 1, Alone: true,
		States: 388_403,
	},
	{
		Name: "recoveries", About: "three recoveries, a crash, a restart and a flush; puts come late",
		Nodes: 2, Owners: []int{0}, Lives: 2, Objects: 2, Recoveries: 3, Rewinds: 1, Flushes: 1, Crashes: 1,
		Late: true, Alone: true,
	},
	{
		Name: "old", About: "two recoveries, snapshots of earlier incarnations are deleted",
		Nodes: 2, Owners: []int{0}, Lives: 3, Objects: 2, Recoveries: 2, Rewinds: 1, Flushes: 1, Tidy: true,
		Old: true, Alone: true,
		States: 1_123_331,
	},
	{
		Name: "loads", About: "snapshots and tidying while nodes load, after a crash",
		Nodes: 2, Owners: []int{0, 0}, Lives: 2, Objects: 3, Crashes: 1, Snapshots: 1, Tidy: true, Loads: true,
		Alone:  true,
		States: 231_816,
	},
	{
		Name: "tidy", About: "two snapshots, tidying, and a restart",
		Nodes: 2, Owners: []int{0, 1}, Lives: 2, Objects: 3, Recoveries: 1, Rewinds: 1, Snapshots: 2,
		Tidy: true, Alone: true,
	},
	{
		Name: "silent", About: "a silent chain is sealed, its seal deleted, and its writer thaws",
		Nodes: 2, Owners: []int{0}, Lives: 1, Objects: 3, Ticks: 2, Snapshots: 1, Tidy: true, Quiet: true,
		Alone:  true,
		States: 119_092,
	},
	{
		Name: "seals", About: "the same, and another snapshot",
		Nodes: 2, Owners: []int{0}, Lives: 1, Objects: 2, Ticks: 2, Snapshots: 2, Tidy: true, Quiet: true,
		Alone:  true,
		States: 427_798,
	},
	{
		Name:  "begin",
		About: "a life begins slowly, while another incarnation opens and the one before is tidied away",
		Nodes: 2, Guest: 1, Owners: []int{1}, Lives: 2, Objects: 3, Recoveries: 1, Failovers: 1, Ticks: 1,
		Tidy: true, Alone: true,
		States: 2_511_097,
	},
	{
		Name: "lagging", About: "a node that is cut off in an old incarnation writes snapshots and tidies",
		Nodes: 2, Owners: []int{0, 1}, Lives: 2, Objects: 3, Split: true, Ticks: 1, Tidy: true, Snapshots: 1,
		Alone:  true,
		States: 7_081_237,
	},
	{
		Name: "requests", About: "two nodes write one request, with help, snapshots and two recoveries",
		Nodes: 2, Owners: []int{0, 1}, Keyed: 3, Lives: 2, Objects: 3, Recoveries: 2, Rewinds: 1, Flushes: 1,
		Snapshots: 1,
	},
	{
		Name: "carrying", About: "as carry, and others help",
		Nodes: 2, Owners: []int{0, 1}, Carried: 1, Lives: 2, Objects: 3, Recoveries: 1, Crashes: 1,
		States: 1_150_367,
	},
	{
		Name: "carrylate", About: "carried segments, two recoveries whose puts may come late, and the loss of everything",
		Nodes: 2, Owners: []int{0, 1}, Carried: 1, Lives: 2, Objects: 3, Recoveries: 2, Flushes: 1, Rewinds: 1,
		Late: true, Alone: true,
		States: 4_127_002,
	},
	{
		Name: "carrysplit", About: "carried segments, failover, and nodes that go on with the old coordinator",
		Nodes: 2, Owners: []int{0, 1}, Carried: 3, Lives: 2, Objects: 3, Recoveries: 1, Failovers: 1, Alone: true,
		States: 1_787_155,
	},
	{
		Name: "carrykeys", About: "two nodes write one request, of which one is carried",
		Nodes: 2, Owners: []int{0, 1}, Keyed: 3, Carried: 1, Lives: 2, Objects: 3, Recoveries: 1, Rewinds: 1, Snapshots: 1,
		States: 277_494,
	},
	{
		Name: "carryquiet", About: "carried segments of chains that are silent and sealed, snapshots, and tidying",
		Nodes: 2, Owners: []int{0}, Carried: 1, Lives: 2, Objects: 3, Ticks: 2, Snapshots: 1, Tidy: true, Quiet: true,
		Recoveries: 1, Alone: true,
		States: 31_988_766,
	},
	{
		Name: "merging", About: "two nodes merge, collect and recover",
		Nodes: 2, Owners: []int{0, 0}, Lives: 2, Objects: 4, Merges: 2, Ticks: 2, Collections: 1,
		Recoveries: 1, Rewinds: 1, Alone: true,
	},
}

// configNamed returns a configuration; nil if there is none of that name.
func configNamed(name string) *config {
	for _, list := range [][]*config{shortConfigs, longConfigs} {
		for _, cfg := range list {
			if cfg.Name == name {
				return cfg
			}
		}
	}
	return nil
}
