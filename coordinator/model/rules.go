package model

import "firn.dev/coordinator/model/explore"

// rules are the rules of the protocol: each can be left out, to see that a search finds what it is
// for. The tag says what the rule is.
type rules struct {
	JournalBeforeConfirm  bool `rule:"a fact is confirmed only after it is in the journal"`
	AckAfterConfirm       bool `rule:"a segment is acknowledged only when the high watermark has passed it"`
	Seal                  bool `rule:"a recovery seals every chain"`
	SealVerified          bool `rule:"a seal counts only when a later listing shows nothing behind it"`
	SealBeforeRead        bool `rule:"a recovery reads the journal after it is sealed"`
	BeginSoon             bool `rule:"a life that took longer to begin than a seal surely lasts does not begin"`
	Fence                 bool `rule:"a journal put that meets another object ends the life"`
	NewestAtBegin         bool `rule:"a life begins only if its incarnation is the newest after its object 0 is there"`
	NewestAfterLoad       bool `rule:"a life begins only if its incarnation is the newest after the bucket was read"`
	ServerIdentity        bool `rule:"what a server holds counts only if it was opened in this life of it (run_id)"`
	CallsCarryGeneration  bool `rule:"a call of another generation is refused"`
	IdempotentCommit      bool `rule:"a segment that is committed again gets its first answer"`
	CommitsSurvive        bool `rule:"a coordinator is opened with the young segments that were committed before"`
	Settle                bool `rule:"a recovery makes its predecessors that have not opened void"`
	VoidIsFinal           bool `rule:"an incarnation that was made void does not open"`
	VoidsKept             bool `rule:"void snapshots outlive whatever may still be under way"`
	OpenOnce              bool `rule:"the opening call of an incarnation is sent once"`
	OpenHigher            bool `rule:"a coordinator opens only a higher incarnation than it holds"`
	OpenLoaded            bool `rule:"a coordinator opens only what was loaded into it since it lost its state"`
	HoleCut               bool `rule:"a recovery keeps each partition up to the first hole"`
	HighWatermark         bool `rule:"only the confirmed prefix is served"`
	HelpJournals          bool `rule:"who helps journals the facts before confirming them"`
	HelpOwnGeneration     bool `rule:"facts are journaled in a life of the incarnation that decided them only"`
	SettledBeforeLoad     bool `rule:"a node asks how far the stream is settled before it loads the bucket"`
	GapMeansMoved         bool `rule:"who finds objects missing that no snapshot covers reads again"`
	NotLater              bool `rule:"a snapshot does not cover chains of later incarnations"`
	KeepLast              bool `rule:"the last object of a chain is kept until the chain is sealed"`
	SealsKept             bool `rule:"seals outlive a put that comes late, by days"`
	LookAfterSilence      bool `rule:"a put after a long silence looks for newer incarnations"`
	GuestSilence          bool `rule:"a direct writer gives up a chain that has been silent"`
	ConnectedAfterSilence bool `rule:"a put after a long silence looks whether the object before is still there"`
	CoverSealed           bool `rule:"snapshots go on to say that a chain is sealed whose seal is gone"`
	Keys                  bool `rule:"a request with a key that is known is not written again"`
	KeysOpened            bool `rule:"a coordinator is opened with the keys of what it recovered"`
	KeysInSnapshots       bool `rule:"snapshots hold keys"`
	CarriedThere          bool `rule:"the fact of bytes that another chain carries is journaled only when they are there"`
	CarriedUnsealed       bool `rule:"carried bytes are there only if no snapshot says that their chain was sealed before"`
	CarriedRecovered      bool `rule:"carried bytes are committed again in another incarnation only if it has them"`
	CarriedSealed         bool `rule:"carried bytes come into another chain only when the first is sealed without them"`
	CarriedKept           bool `rule:"a journal object is kept as long as a span needs bytes that it carries"`
	CollectNewest         bool `rule:"who collects looks afterwards whether its incarnation is still the newest"`
	TidyNewest            bool `rule:"who tidies looks afterwards whether its incarnation is still the newest"`
	CollectRipe           bool `rule:"only what is too old to be committed or merged is collected"`
	CollectSettled        bool `rule:"a collector waits until what was decided is in the journal"`
	CollectByBucket       bool `rule:"a collector goes by the bucket, not by a view"`
	CommitDeadline        bool `rule:"a segment that is too old is not committed"`
	MergeDeadline         bool `rule:"a merged segment that is too old is not merged in"`
	MergeRipe             bool `rule:"only segments that are too old to be committed again are merged"`
	MergeInTurn           bool `rule:"a merge is decided only if its planner knew the one before, which is confirmed"`
	MergeConfirmed        bool `rule:"only what is confirmed is merged"`
}

// allRules are all rules.
func allRules() rules { return explore.All[rules]() }

// rulesWithout are all rules but some.
func rulesWithout(names ...string) rules { return explore.Without[rules](names...) }

// ruleNames are the names of all rules.
func ruleNames() []string { return explore.RuleNames[rules]() }

// sayRule says what a rule is.
func sayRule(name string) string { return explore.Say[rules](name) }
