// Package txn is the protocol of transactions as a small state machine, and a search of everything
// that can happen to it. No program imports it. docs/internals/transactions.md has the design.
//
// It is beside package model and not in it, because the product of the two is beyond any search,
// and because it can stand on what that one shows: a coordinator that lost its state is not
// trusted; a recovery finds what is in the journal up to the first hole of each partition; an
// incarnation opens once. So a state has no nodes, chains and views. It has what is decided in the
// present incarnation, what of that is in the journal, and the producers with their messages.
//
//   - A fact lands in the journal by itself, in any order. Facts lie in several chains, a recovery
//     seals one after the other, and whoever sees a fact may journal it too: so a recovery may find
//     any part of what was decided, and here it finds each. Between two facts of one chain there is
//     an order, which no rule leans on.
//   - What is in the journal is confirmed. A later confirmation makes answers later, and nothing
//     else: no step is possible because something is not confirmed yet.
//   - Open is a recovery as a whole, from the loss to the opening. A coordinator that was cut off
//     goes on for a while, but nothing that it decides after the seals gets into the journal, and
//     it answers only what rests on the journal. So it could have answered before the seals, and
//     the answer may take any time to arrive.
//   - A request arrives at any time after it was sent, as often as it has an effect, also when its
//     sender is dead. The segment with an ending is built by some node, and its commit arrives at
//     any later time. A producer may stop at any moment, and be slow for as long as it likes.
//   - A timeout may come whenever a transaction is open.
//   - That epochs of a producer id run out is not here: a new producer id is as a next epoch.
//
// The judge reads what a reader of the bucket alone serves, and remembers what everybody was told:
// what was served stays (P2); a transaction that was answered as committed is, with all its
// records, and one that was answered as aborted is not (T1, T5); so are its offsets (T2); after
// InitProducerId nothing older takes effect (T3); and from each state there is a way, without any
// producer's help and without a further loss, to one in which nothing is open and nobody waits
// (T4). T6, the price, is for a benchmark.
//
// The rules are those of the design, R1 to R18; some are several here. Each can be left out:
// TestRulesAreNeeded finds what breaks then. For three nothing does; search_test.go says what
// stands in for them.
//
// What is left out: AddPartitionsToTxn and EndTxn of the old protocol that come late over a
// connection that is gone (their epoch would not tell them from those of the next transaction, in
// Apache Kafka neither); InitProducerId with the epoch that a producer has (KIP-360); plain commits
// of offsets beside those of transactions; bounds on partitions and producers; time.
package txn
