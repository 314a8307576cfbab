package protocol

import (
	"cmp"
	"errors"
	"time"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// This file has the parts of a group's requests and answers that all kinds share, and their bounds.

// Options are what a group goes by.
type Options struct {
	Limits                 Limits
	InitialRebalanceDelay  time.Duration
	ConsumerSessionTimeout time.Duration
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

// WithDefaults returns the limits, with the defaults for those that are zero.
func (l Limits) WithDefaults() Limits {
	l.MaxGroups = cmp.Or(l.MaxGroups, 10_000)
	l.MaxStoredGroups = cmp.Or(l.MaxStoredGroups, 100_000)
	l.MaxMembers = cmp.Or(l.MaxMembers, 1_000)
	l.MemberBytes = cmp.Or(l.MemberBytes, 256<<10)
	l.GroupBytes = cmp.Or(l.GroupBytes, 16<<20)
	l.TotalBytes = cmp.Or(l.TotalBytes, 256<<20)
	l.OffsetMetadataBytes = cmp.Or(l.OffsetMetadataBytes, 4<<10)
	l.ClaimsPerGroup = cmp.Or(l.ClaimsPerGroup, 10_000)
	l.MaxClaims = cmp.Or(l.MaxClaims, 100_000)
	l.HolderBytes = cmp.Or(l.HolderBytes, 255)
	l.Unjournaled = cmp.Or(l.Unjournaled, 16<<10)
	return l
}

// Validate says what is wrong with limits that have their defaults.
func (l Limits) Validate() error {
	if min(l.MaxGroups, l.MaxStoredGroups, l.MaxMembers, l.MemberBytes, l.GroupBytes, l.OffsetMetadataBytes,
		l.Unjournaled, l.ClaimsPerGroup, l.MaxClaims, l.HolderBytes) < 1 || l.TotalBytes < 1 {
		return errors.New("groups: a limit is below 1")
	}
	return nil
}

// Committer is who commits offsets. A Generation below 0 is somebody outside of the group protocol.
type Committer struct {
	MemberID, InstanceID string
	Generation           int32 // or the member epoch
	Epochs               bool  // from version 9 on: it may be the epoch of a member of the new protocol

	Offsets []coordinator.GroupOffset // that it commits; groups.Manager fills them in
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

	Claimed []segments.Partition // by a holder of claims
}

// The types.
const (
	Classic Type = iota
	Consumer
	Share
)

// String is the type's name.
func (t Type) String() string { return [...]string{"classic", "consumer", "share"}[t] }

// MaxClaimTTL is the longest that a claim can last.
const MaxClaimTTL = 15 * time.Minute

// Anonymous says that a committer does not say which member it is.
func (c *Committer) Anonymous() bool {
	return c.Generation < 0 && c.MemberID == "" && c.InstanceID == ""
}
