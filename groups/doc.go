// Package groups coordinates Kafka consumer groups: their members, the partitions that each reads,
// and how far each group has read.
//
// Three layers, each testable without the next:
//
//   - protocol.Group is one group: a transition function in a package of its own, which knows no
//     clock, goroutine or network. Requests and answers are its types; names.go has the names by
//     which front doors know them.
//   - shardOwnership is this node's ownership of a shard of groups: a lease of the coordinator,
//     with an epoch. Under it each group is a hostedGroup, with a lock and a timer, where requests
//     wait that are answered later. When the lease ends, so does everything that was decided under
//     it.
//   - Manager is what the front doors call. It takes and hands back leases, stores committed
//     offsets as facts of the coordinator, has them journaled within a second, and deletes those
//     that no group has used for long.
//
// The members of a group and what they have are stored like committed offsets, as facts, whenever
// the members have come to a new agreement (keep.go): when a node dies they go on with the next
// owner. Claims are not stored: the next owner gives higher epochs, and refuses those of this one.
// Errors for clients are Kafka's own, as package kerr has them.
//
// Every commit goes through shardOwnership.commit, which asks the group whether it may.
package groups
