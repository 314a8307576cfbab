package txn

// config bounds a search. Everything within the bounds is searched.
type config struct {
	Name  string
	About string

	Partitions int
	Sessions   []sessionConfig
	Plains     []int // partitions to which others write a record: until it is in the journal it is a hole
	Endings    int   // that are built and not decided, at once
	Repeats    int   // InitProducerId takes effect so often again in one incarnation

	Recoveries, Deletions, Expiries int

	Merges, Compactions, Truncations int // DeleteRecords moves a log start by one offset

	Workers, Inputs, Claims int // of functions

	States int // within the bounds, as counted
}

// sessionConfig is a producer with a transactional id, from its InitProducerId on. A later session
// of the same id makes it a zombie.
type sessionConfig struct {
	ID    int
	Live  bool // InitProducerId was answered before the search begins
	Old   bool // speaks the protocol from before KIP-890: an ending does not change its epoch
	Hasty bool // commits without waiting until its records and offsets are answered
	Txns  []txn
}

// txn is a transaction as its producer means it: a record for each of some partitions, and offsets.
type txn struct {
	Writes  []int
	Offsets bool
	Result  uint8 // commit or abort; 0: either
	Nothing bool  // it is ended though nothing was done in it
}

// record is a batch of a transaction, or all that a request of a function writes.
type record struct {
	session    int // -1: of a function
	txn        int // number, through all sessions
	partitions uint8
	worker     int // of a function
	input      int
}

// transaction is what a producer means to be one.
type transaction struct {
	session int
	records uint8
	txn
}

// model is a configuration under rules.
type model struct {
	cfg     *config
	rules   rules
	records []record
	txns    []transaction
	first   []int // transaction of each session
	ids     int
}

// newModel returns a model.
func newModel(cfg *config, rules rules) *model {
	m := &model{cfg: cfg, rules: rules}
	for i, s := range cfg.Sessions {
		m.ids = max(m.ids, s.ID+1)
		m.first = append(m.first, len(m.txns))
		for _, t := range s.Txns {
			x := transaction{session: i, txn: t}
			for _, p := range t.Writes {
				x.records |= 1 << len(m.records)
				m.records = append(m.records, record{session: i, txn: len(m.txns), partitions: 1 << p})
			}
			m.txns = append(m.txns, x)
		}
	}
	for w := range cfg.Workers {
		for input := range cfg.Inputs {
			all := uint8(1)<<cfg.Partitions - 1
			m.records = append(m.records, record{session: -1, txn: -1, partitions: all, worker: w, input: input})
		}
	}
	if cfg.Partitions > maxPartitions || len(cfg.Sessions) > maxSessions || m.ids > maxIDs || cfg.Workers > maxWorkers ||
		len(m.records) > maxRecords || len(m.txns) > maxTxns || len(cfg.Plains) > maxPlains || cfg.Endings > maxEndings {
		panic("txn: a configuration beyond what a state has room for: " + cfg.Name)
	}
	return m
}

// Start is the state in which a search begins.
func (m *model) Start() state {
	s := state{recoveries: uint8(m.cfg.Recoveries), deletions: uint8(m.cfg.Deletions), expiries: uint8(m.cfg.Expiries),
		claims: uint8(m.cfg.Claims), merges: uint8(m.cfg.Merges), compactions: uint8(m.cfg.Compactions),
		truncations: uint8(m.cfg.Truncations)}
	for i, session := range m.cfg.Sessions {
		s.sessions[i].repeats = uint8(m.cfg.Repeats)
		if session.Live {
			s.sessions[i].phase, s.sessions[i].epoch = live, 1
			s.ids[session.ID].epoch = 1
		}
	}
	return s
}
