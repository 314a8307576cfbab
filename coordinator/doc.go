// Package coordinator decides: which offsets a segment's runs get, which topics exist, who holds a lease. What it decides are
// facts; a fact is acted on only once it is in the journal, in the bucket, so that the coordinator itself may be lost.
//
// The room is laid out around four things:
//
//   - Coordinator is the contract: the fast, forgetful decider. package embedded keeps it in memory, package redis in Redis.
//   - Fact is one decision, as bytes. State is what facts add up to, and State.Apply is the only code that adds them.
//   - Node is one process's membership: its life's journal chain, and the View that all readers share, kept current by following the
//     coordinator's commit stream.
//   - Recover rebuilds a State from the bucket alone, sealing every chain so that whoever wrote it knows that its time is over.
//
// FORMAT.md beside this file gives the bytes of facts, journal objects, snapshots and incarnations.
package coordinator
