package main

// committed mutants break this: a group reads the offsets that it committed.
var committed = []mutant{
	{
		name: "offsets-unnumbered", file: "groups/offsets.go",
		rule: "the owner of a group numbers its commits, so that a late one undoes nothing",
		old:  "\t\tc.Version = t.m.shards[t.shard].nextVersion()",
		new:  "\t\tc.Version = 0",
		by:   []check{committing},
	},
	{
		name: "offsets-numbered-by-arrival", file: "coordinator/embedded/propose.go",
		rule: "a commit has the number that its owner gave it",
		old:  "\tif o.Version == 0 {",
		new:  "\tif o.Version >= 0 {",
		by:   []check{embedded, committing},
	},
	{
		name: "offsets-counter-left-behind", file: "coordinator/redis/lua/offsets.lua",
		rule: "the next owner of a group counts on above all that its owners before it committed",
		old:  "if version > highest then",
		new:  "if version > highest and ARGV[5] == '0' then",
		by:   []check{scripts},
	},
	{
		name: "offsets-numbers-forgotten", file: "groups/numbers.go",
		rule: "an owner that takes its lease again with the same epoch goes on counting",
		old:  "last >= barrier || n.version",
		new:  "n.version",
		by:   []check{committing},
	},
	{
		name: "offsets-told-unasked", file: "groups/consumers.go",
		rule: "who says what is committed makes sure afterwards that nobody else could have decided",
		old:  "return m.told(t.current(ctx))",
		new:  "return nil",
		by:   []check{committing},
	},
	{
		name: "offsets-told-without-lease", file: "groups/ownership.go",
		rule: "who says what is committed still held the lease afterwards, by the coordinator",
		old:  "\t\terr := t.held(ctx)\n",
		new:  "\t\tvar err error\n",
		by:   []check{committing},
	},
	{
		name: "offsets-told-without-bucket", file: "groups/ownership.go",
		rule: "who says what is committed still lived in the newest incarnation afterwards, by the bucket",
		old:  "\t\t\terr = t.life.Current(ctx)\n",
		new:  "\t\t\terr = nil\n",
		by:   []check{committing},
	},
	{
		name: "deleted-comes-back", file: "ingest/commit.go",
		rule: "after a recovery nothing is committed again that may have been committed, and deleted since",
		old:  "\tif t.giveUp(s); s.unanswered() == 0 {\n",
		new:  "\tif s.unanswered() == 0 {\n",
		by:   []check{{pkg: "./ingest", run: "^TestDeletedIsNotCommittedAgain$"}, whole},
	},
	{
		name: "look-of-before", file: "coordinator/node_look.go",
		rule: "a look for newer incarnations answers nobody who asked after it began",
		old:  "\tl.looks.leave()\n",
		new:  "\tdefer l.looks.leave()\n",
		by:   []check{{pkg: "./coordinator", run: "^TestLooksAreShared$"}},
	},
}
