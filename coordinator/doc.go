// Package coordinator decides: which offsets a segment's runs get, which topics exist, who holds a
// lease. What it decides are facts; a fact is acted on only once it is in the journal, in the
// bucket, so that the coordinator itself may be lost.
//
// The room is laid out around five things, and the names of files say which they belong to:
//
//   - Coordinator is the contract (contract.go, commit.go, fact.go): the fast, forgetful decider.
//     Package embedded keeps it in memory, package redis in Redis.
//   - Fact is one decision, as bytes. State is what facts add up to (state_…), and State.Apply is
//     the only code that adds them.
//   - The bucket holds journals, snapshots, incarnations and index objects (bucket_…).
//     Recover rebuilds a State from it alone, sealing every chain so that its writer learns
//     that its time is over.
//   - Node is one process's membership (node_…): its life's journal chain, and what it does in
//     turn. A Guest is a writer without one.
//   - View is what all readers of a node share (view_…), kept current by following
//     the coordinator's commit stream.
//
// FORMAT.md beside this file gives the bytes of facts, journal objects, snapshots and incarnations.
package coordinator
