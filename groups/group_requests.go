package groups

import (
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// This file has the parts of a group's requests and answers, and their bounds.

// groupOptions are those of the Options that groups know of.
type groupOptions struct {
	limits                 Limits
	initialRebalanceDelay  time.Duration
	consumerSessionTimeout time.Duration
}

// Limits bound the memory that members can make a server keep. A member that goes beyond them gets
// GROUP_MAX_SIZE_REACHED.
type Limits struct {
	MaxGroups           int   // with members, on this node; 10,000
	MaxStoredGroups     int   // with committed offsets, or left by their members, in the cluster; 100,000
	MaxMembers          int   // of one group; 1,000
	MemberBytes         int   // of one member's metadata; 256 KiB
	GroupBytes          int   // of all members' metadata; 16 MiB
	TotalBytes          int64 // of all groups; 256 MiB
	OffsetMetadataBytes int   // with one committed offset: Kafka's offset.metadata.max.bytes, 4 KiB
	ClaimsPerGroup      int   // partitions that are claimed, or lately were; 10,000
	MaxClaims           int   // of all groups; 100,000
	HolderBytes         int   // of the name of who claims; 255
	Unjournaled         int   // commits that await their journaling; 16,384. More make commits wait
}

// Committer is who commits offsets. A Generation below 0 is somebody outside of the group protocol.
type Committer struct {
	MemberID, InstanceID string
	Generation           int32 // or the member epoch
	Epochs               bool  // from version 9 on: it may be the epoch of a member of the new protocol

	offsets []coordinator.GroupOffset // that it commits
}

// Held names a claim.
type Held struct {
	Partition segments.Partition
	Epoch     uint64
}

// Type is which protocol a group speaks, by Kafka's names.
type Type uint8

// Description is a group, for people and tools.
type Description struct {
	Group        string
	Type         Type
	State        State
	ProtocolType string
	Protocol     string // while Stable; of a consumer group the assignor
	Epoch        int32  // of a consumer group
	Members      []Member
}

// Member is a member, for people and tools.
type Member struct {
	ID, InstanceID, ClientID, ClientHost string
	Metadata, Assignment                 []byte // in a classic group

	// In a consumer group:
	RackID      string
	Epoch       int32
	Classic     bool // it speaks the classic protocol
	Topics      []string
	Regex       string
	Has, Target []segments.Partition // what it may read, and what it is to have

	claimed []segments.Partition
}

// The types.
const (
	Classic Type = iota
	Consumer
	Share
)

func (t Type) String() string { return [...]string{"classic", "consumer", "share"}[t] }

// takeTimeout is how long a request waits for its group's lease to be taken.
const takeTimeout = 10 * time.Second

const (
	minClaimTTL = time.Second
	maxClaimTTL = 15 * time.Minute
)
