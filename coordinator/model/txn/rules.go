package txn

// rules are the rules of transactions: each can be left out, to see that a search finds what it is
// for. The tag says which of the design's rules it is of, and what it says.
type rules struct {
	DecidedByJournal bool `rule:"R1: an ending whose fact is in the journal is decided, also if no marker of it survived"`
	CarryWhole       bool `rule:"R2: a fact of a transactional id is the whole of it"`
	CopyStaged       bool `rule:"R2: an ending carries the offsets that were staged"`
	HighestStands    bool `rule:"R2: of two facts of a transactional id the one with the higher version stands"`
	PlaceAnew        bool `rule:"R3: a recovery places the markers anew that it dropped"`
	CarryOrdinal     bool `rule:"R3: the fact of a transactional batch says in which transaction it was admitted"`
	EndingWhole      bool `rule:"R4: an ending brings a marker for each partition in which the transaction is open"`
	OnlyOpen         bool `rule:"R4: a marker for a partition in which it is not open gets no offset"`
	AnswerComplete   bool `rule:"R5: EndTxn is answered when the ending is complete"`
	CountComplete    bool `rule:"R5: offsets count when the ending is complete"`
	NextComplete     bool `rule:"R5: the next transaction is admitted when the ending is complete"`
	EndNothing       bool `rule:"R4: an ending is decided also if the transaction is open nowhere"`
	EndingEpoch      bool `rule:"R6: an ending of another epoch is refused"`
	EndingOrdinal    bool `rule:"R6: an ending of another transaction is refused"`
	EndingOfLife     bool `rule:"R6: an ending is not committed again in another incarnation, but built anew"`
	RefusalConfirmed bool `rule:"R6: a refusal is told when what it rests on is in the journal"`
	EpochOfID        bool `rule:"R7: the epoch is compared with that of the id, in every partition"`
	StageEpoch       bool `rule:"R7: so it is for offsets"`
	FenceConfirmed   bool `rule:"R7: InitProducerId is answered when its fence is in the journal"`
	FenceOwn         bool `rule:"R7: it is answered with a fence of the incarnation in which it is answered"`
	InitWaits        bool `rule:"R7: it is answered when nothing is open or pending"`
	BumpInEnding     bool `rule:"R8: the fact of an ending has the next epoch"`
	RetryStored      bool `rule:"R8: EndTxn that comes again is answered with the epoch that is stored"`
	ClearEnded       bool `rule:"R8: a fence clears the ended epoch, and the abort that it causes sets none"`
	PreviousComplete bool `rule:"R8: EndTxn after a timeout is answered when the timeout's abort is complete"`
	PreviousAborted  bool `rule:"R8: it is answered with the present epoch if it asks for an abort too"`
	PreviousCleared  bool `rule:"R8: InitProducerId clears the epoch that may do so"`
	StageJournaled   bool `rule:"R9: TxnOffsetCommit is answered when its fact is in the journal"`
	OldClears        bool `rule:"R8: AddPartitionsToTxn of the old protocol clears the ended epoch"`
	OldAdds          bool `rule:"R9: a batch of the old protocol is admitted while its partition is added"`
	AllOrNone        bool `rule:"R10: a request of a function is decided whole or not at all"`
	PlaceRequests    bool `rule:"R10: a recovery places anew what it dropped of a request that is in the journal"`
	ClaimInCommit    bool `rule:"R11: the commit of a request compares the claim's epoch"`
	ClaimWaits       bool `rule:"R12: a claim is handed on when nothing under it is decided and incomplete"`
	CommitWaits      bool `rule:"R13: a commit is decided when all its transaction's records are below the high watermark"`
	NoneWhileMissing bool `rule:"R14: while a marker is missing in a partition, nothing of its id is admitted there"`
	NotWhileOpen     bool `rule:"R15: an id with an open or incomplete transaction is not forgotten"`
	DeletedIsDone    bool `rule:"R16: a partition that is deleted needs no marker"`
	DeletedConfirmed bool `rule:"R16: an ending is complete without it when the deletion is in the journal"`
	BelowStable      bool `rule:"R17: compaction stops at the last stable offset"`
	AbortedFirst     bool `rule:"R17: an aborted record replaces none of its key"`
	OneProducer      bool `rule:"R17: a merge makes no batch of those of different producers"`
	TrimByMarker     bool `rule:"R17: an aborted transaction is listed until its marker is below the log start"`
	OneStep          bool `rule:"R18: an ending is decided for all its partitions in one step"`
}
