// Package groups coordinates Kafka consumer groups: who is a member, who reads which partitions,
// and how far each group has read.
//
// Three layers, each testable without the next:
//
//   - A group (group….go) is of a kind: classicGroup for the classic protocol, consumerGroup for
//     the new one (KIP-848), claims for consumers that lease partitions, shareGroup for share
//     groups (KIP-932; docs/internals/share-groups.md). A kind is a transition function: an event
//     and the time go in, the answers that are due come out. It knows no clock, no goroutine and no
//     network, and TestGroupsCompileWithoutTheirHost holds that. A group without members becomes
//     what the next event needs; one with members changes between the two protocols as its members
//     do (group_convert.go, group_consumer_mixed.go).
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
// owner. Claims are not stored, their epochs fence. Errors for clients are Kafka's own, as package
// kerr has them.
//
// What any kind commits goes through shardOwnership.commit, which asks the kind whether the
// committer may.
package groups
