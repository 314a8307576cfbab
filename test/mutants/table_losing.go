package main

// losing mutants break this: the coordinator notices that it has lost something.
var losing = []mutant{
	{
		name: "run-id-not-compared", file: "coordinator/redis/lua/prelude.lua",
		rule: "what a server holds counts only if it was opened in this life of it",
		old:  "if current[2] ~= here then",
		new:  "if false then",
		by:   []check{{pkg: "./coordinator/redis", run: "^TestRestartIsNoticed$|^TestLossIsNoticed|^TestReplica$"}},
	},
	{
		name: "generation-not-compared", file: "coordinator/redis/lua/prelude.lua",
		rule: "a call of another generation is refused",
		old:  "if current[1] ~= ARGV[1] then",
		new:  "if false then",
		by:   []check{scripts, losses},
	},
	{
		name: "incarnation-not-compared", file: "coordinator/embedded/embedded.go",
		rule: "a call of another incarnation is refused",
		old: `	case e.decided.Incarnation() != in:
		return coordinator.ErrIncarnation
`,
		new: "",
		by:  []check{embedded, simulation, whole},
	},
	{
		name: "opens-lower", file: "coordinator/embedded/embedded.go",
		rule: "a coordinator opens only a higher incarnation than it holds",
		old:  "e.decided.Incarnation() >= state.Incarnation()",
		new:  "false",
		by:   []check{embedded, whole},
	},
	{
		name: "opens-twice", file: "coordinator/generation.go",
		rule: "the opening call of an incarnation is sent once",
		old:  "if s.opening == nil || !s.opening.used.CompareAndSwap(nil, &g) {",
		new:  "if s.opening != nil && s.opening.used.Swap(&g) == &g {",
		by: []check{
			embedded,
			{pkg: "./coordinator/redis", run: "^TestStateIsOpenedOnce$|^TestOpeningThatArrivesTwice$"},
			whole,
		},
	},
	{
		name: "opens-again", file: "coordinator/node_begin.go",
		rule: "an opening whose reply is lost is not sent again, as it once was",
		old:  "\t\t\treturn b.opened(ctx, state.Generation())",
		new:  "\t\t\tstate.opening, _ = &opening{}, b.opened",
		by:   []check{whole},
	},
	{
		name: "opens-half", file: "coordinator/redis/lua/open.lua",
		rule: "a coordinator opens only what was loaded into it since it lost its state",
		old:  "if (redis.call('HGET', KEYS[2], 'parts') or '0') ~= ARGV[3] then",
		new:  "if false then",
		by:   []check{{pkg: "./coordinator/redis", run: "^TestLoadingIsWhole$"}, losses},
	},
	{
		name: "cluster-client-retries", file: "coordinator/redis/script.go",
		rule: "the client library of a cluster does not send a script again",
		old:  "func (once) NoRetry() bool { return true }",
		new:  "func (once) NoRetry() bool { return false }",
		by:   []check{{pkg: "./coordinator/redis", run: "^TestLostReplyOfACluster$"}},
	},
	{
		name: "settled-too-far", file: "coordinator/redis/lua/settled.lua",
		rule: "everything up to the settled number is confirmed",
		old:  "if oldest then return tonumber(oldest) - 1 end",
		new:  "",
		by:   []check{scripts},
	},
}
