package groups

import "firn.dev/groups/internal/protocol"

// Requests to a group, and its answers: the types of package protocol, for front doors.
type (
	Limits      = protocol.Limits
	Description = protocol.Description
	Member      = protocol.Member
	State       = protocol.State
	Type        = protocol.Type
	Committer   = protocol.Committer

	// of the classic protocol

	Protocol    = protocol.Protocol
	JoinRequest = protocol.JoinRequest
	JoinAnswer  = protocol.JoinAnswer
	SyncRequest = protocol.SyncRequest
	SyncAnswer  = protocol.SyncAnswer

	// of the new protocol, and of share groups

	ConsumerHeartbeat = protocol.ConsumerHeartbeat
	ConsumerAnswer    = protocol.ConsumerAnswer
	ShareHeartbeat    = protocol.ShareHeartbeat
	LogRange          = protocol.LogRange
	AcquiredRange     = protocol.AcquiredRange
	ShareAck          = protocol.ShareAck
	AckType           = protocol.AckType

	// of claims

	Held = protocol.Held
)

// The types of groups.
const (
	Classic  = protocol.Classic
	Consumer = protocol.Consumer
	Share    = protocol.Share
)

// States of groups that others than the group itself ask about.
const (
	Empty  = protocol.Empty
	Stable = protocol.Stable
	Dead   = protocol.Dead
)

// The types of acknowledgements.
const (
	AckAccept  = protocol.AckAccept
	AckRelease = protocol.AckRelease
	AckReject  = protocol.AckReject
	AckRenew   = protocol.AckRenew
)
