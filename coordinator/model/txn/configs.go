package txn

// shortConfigs are the configurations that every test run searches. All of each is searched.
var shortConfigs = []*config{
	{
		Name: "one", About: "a transaction over two partitions, a record of others that may stay a hole, and a loss",
		Partitions: 2, Plains: []int{1}, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Txns: []txn{{Writes: []int{0, 1}}}}},
		States:   6_779,
	},
	{
		Name: "hasty", About: "the same, by a producer that commits without waiting for answers",
		Partitions: 2, Plains: []int{1}, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Hasty: true, Txns: []txn{{Writes: []int{0, 1}}}}},
		States:   11_461,
	},
	{
		Name: "next", About: "two transactions, one after the other",
		Partitions: 1, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Hasty: true, Txns: []txn{{Writes: []int{0}}, {Writes: []int{0}}}}},
		States:   5_734,
	},
	{
		Name: "zombie", About: "a second session of the id, and the first one goes on",
		Partitions: 1, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{
			{Live: true, Txns: []txn{{Writes: []int{0}}, {Writes: []int{0}}}},
			{Txns: []txn{{Writes: []int{0}}}},
		},
		States: 404_628,
	},
	{
		Name: "offsets", About: "offsets in a transaction, and InitProducerId of a second session",
		Partitions: 1, Plains: []int{0}, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Txns: []txn{{Writes: []int{0}, Offsets: true}}}, {}},
		States:   73_646,
	},
	{
		Name: "staged", About: "offsets, by a producer that commits without waiting for answers",
		Partitions: 1, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Hasty: true, Txns: []txn{{Writes: []int{0}, Offsets: true, Result: commit}}}},
		States:   1_978,
	},
	{
		Name: "late", About: "a zombie's offsets",
		Partitions: 1, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Txns: []txn{{Offsets: true}}}, {Txns: []txn{{Writes: []int{0},
			Result: commit}}}},
		States: 32_201,
	},
	{
		Name: "old", About: "two transactions in the protocol from before KIP-890",
		Partitions: 2, Endings: 3, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Old: true, Txns: []txn{{Writes: []int{0}}, {Writes: []int{1}}}}},
		States:   3_074,
	},
	{
		Name: "nothing", About: "the same with two in which nothing is done",
		Partitions: 1, Endings: 3, Recoveries: 1,
		Sessions: []sessionConfig{
			{Live: true, Old: true, Txns: []txn{{Nothing: true}, {Writes: []int{0}}, {Nothing: true}}},
			{Old: true, Txns: []txn{{Writes: []int{0}}}},
		},
		States: 175_068,
	},
	{
		Name: "ids", About: "two transactional ids in one partition",
		Partitions: 1, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{
			{Live: true, Txns: []txn{{Writes: []int{0}, Result: commit}}},
			{ID: 1, Live: true, Txns: []txn{{Writes: []int{0}, Result: abort}}},
		},
		States: 57_718,
	},
	{
		Name: "deleted", About: "a topic is deleted",
		Partitions: 2, Plains: []int{1}, Endings: 2, Recoveries: 1, Deletions: 1,
		Sessions: []sessionConfig{{Live: true, Hasty: true, Txns: []txn{{Writes: []int{0, 1}, Result: commit}}}},
		States:   53_994,
	},
	{
		Name: "expired", About: "an id is forgotten",
		Partitions: 1, Endings: 2, Recoveries: 1, Expiries: 1,
		Sessions: []sessionConfig{{Live: true, Txns: []txn{{Writes: []int{0}}}}, {}},
		States:   7_659,
	},
	{
		Name: "functions", About: "two functions that take turns with two inputs",
		Partitions: 2, Plains: []int{1}, Recoveries: 1, Workers: 2, Inputs: 2, Claims: 3,
		States: 5_324,
	},
	{
		Name: "merged", About: "two records of a transaction beside one of others, merges, compaction and DeleteRecords",
		Partitions: 1, Plains: []int{0}, Endings: 2, Recoveries: 1, Merges: 1, Compactions: 1, Truncations: 2,
		Sessions: []sessionConfig{{Live: true, Hasty: true, Txns: []txn{{Writes: []int{0, 0}}}}},
		States:   140_080,
	},
}

// longConfigs are further configurations, which take minutes.
var longConfigs = []*config{
	{
		Name: "rivals", About: "two sessions that begin at once, beside a third",
		Partitions: 1, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Txns: []txn{{Writes: []int{0}}}}, {}, {Txns: []txn{{Writes: []int{0}}}}},
		States:   733_005,
	},
	{
		Name: "repeats", About: "InitProducerId comes again, before and after a loss",
		Partitions: 1, Endings: 2, Recoveries: 1, Repeats: 1,
		Sessions: []sessionConfig{{Live: true, Txns: []txn{{Writes: []int{0}}}}, {Txns: []txn{{Writes: []int{0}}}}},
		States:   175_241,
	},
	{
		Name: "losses", About: "as hasty, with holes in both partitions and two losses",
		Partitions: 2, Plains: []int{0, 1}, Endings: 2, Recoveries: 2,
		Sessions: []sessionConfig{{Live: true, Hasty: true, Txns: []txn{{Writes: []int{0, 1}}}}},
		States:   86_460,
	},
	{
		Name: "three", About: "a transaction over three partitions, two of them with holes",
		Partitions: 3, Plains: []int{1, 2}, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{{Live: true, Hasty: true, Txns: []txn{{Writes: []int{0, 1, 2}}}}},
		States:   273_399,
	},
	{
		Name: "both", About: "two ids in two partitions, each with a record in both",
		Partitions: 2, Endings: 2, Recoveries: 1,
		Sessions: []sessionConfig{
			{Live: true, Txns: []txn{{Writes: []int{0, 1}, Result: commit}}},
			{ID: 1, Live: true, Txns: []txn{{Writes: []int{0, 1}}}},
		},
		States: 1_983_016,
	},
	{
		Name: "turns", About: "as functions, with two losses",
		Partitions: 2, Plains: []int{0, 1}, Recoveries: 2, Workers: 2, Inputs: 3, Claims: 4,
		States: 375_945,
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
