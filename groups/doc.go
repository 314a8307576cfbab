// Package groups coordinates Kafka consumer groups: who is a member, who reads which partitions, and how far each group has read.
//
// Three layers, each testable without the next:
//
//   - A party is one group, of a kind: machine for the classic protocol, modern for the new one (KIP-848), claims for consumers that lease partitions. A kind is
//     a transition function: an event and the time go in, the answers that are due come out. It knows no clock, no goroutine and no network. An idle group
//     becomes what the next event needs; one with members changes between the two protocols as its members do (convert.go, mixed.go).
//   - tenure is this node's ownership of a shard of groups: a lease of the coordinator, with an epoch. It gives each machine its lock and its
//     timer, and parks those who wait for an answer. When the lease ends, so does everything that was decided under it.
//   - Manager is what the front doors call. It takes and hands back leases, stores committed offsets as facts of the coordinator, has them
//     journaled within a second, and deletes those that nobody has used for long.
//
// Who the members are and what they have is stored like committed offsets, as facts, whenever they have come to a new agreement (stored.go): when a node dies they go
// on with the next owner. Claims are not stored, their epochs fence. Errors that clients are told are Kafka's own, as package kerr has them.
//
// What any kind commits goes through tenure.commit, which asks the kind whether the committer may.
package groups
