// Package transactions is what a node does for producers with a transactional id: it gives them
// producer ids and epochs, ends their transactions, and aborts those whose time is over.
//
// The coordinator decides what it asks for, in one step each time, and compares what that rests on:
// the producer id, the epoch, the transaction's number. So nobody has to own a transactional id.
// Any node may do any of this at any time, and of two that do the same the first counts. Clients
// are sent to the node that wins the rendezvous hash of the id, which also looks after timeouts: so
// mostly one node is busy with it.
//
// docs/internals/transactions.md has the promises and the rules, by number.
package transactions
