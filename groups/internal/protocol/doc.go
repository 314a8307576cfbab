// Package protocol is what one group does, by the rules of its protocol: classicGroup is a group of
// the classic protocol, consumerGroup one of the new protocol (KIP-848), ShareGroup a share group
// (KIP-932; docs/internals/share-groups.md), and Claims are consumers that lease partitions.
//
// Each is a transition function: an event and the time go in, the state changes, and the answers
// that are due come out (Take). Equal events in equal order have equal results. Whatever is random,
// like the id of a new member, comes with the event. The host calls Tick when the Deadline has
// come, and stores what Export returns whenever the Agreement is another than before.
//
// A Group is of one of these kinds at a time. One without members becomes what the next event
// needs. One with members changes between the classic and the new protocol as its members do
// (convert.go, consumer_mixed.go).
//
// The package has no clock, goroutine, lock or network, and asks no coordinator; the layering test
// of the root package holds that. Package groups is its host. Its types are not safe for concurrent
// use.
package protocol
