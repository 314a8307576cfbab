// Package model is the protocol of the journal, the coordinator and the recoveries as a small
// state machine, and a search of everything that can happen to it. No program imports it.
//
// A state is the bucket (incarnations, snapshots, chains), one or two coordinators, nodes, and the
// messages that are under way. A walk makes every step that is possible in a state; Search goes
// through all states that can be reached, breadth first, and judges each: what a reader of the
// bucket alone serves only ever grows (P2), every node serves a prefix of it (P2, P3), what is
// acknowledged is in it (P1), no record and no request is in it twice (P4), and every object that
// it needs is there (P7). The first violation is printed with the shortest way to it.
//
// Every message may be lost, come late, and come again:
//
//   - A request to the coordinator is taken for sent as soon as its sender could have sent it. It
//     arrives at any time from then on, at any coordinator that takes it, as often as it has an
//     effect, also when its sender has died. An opening arrives at the server that it was sent to.
//     What a coordinator answers reaches the caller at any time or never.
//   - A put lands at any time after it was begun, also when its writer has given up or died, and
//     again when its key has become free. A delete lands at any time after it was decided. The puts
//     of recoveries do so in the configurations that say Late.
//   - A coordinator loses everything with or without being restarted, is rewound to any earlier
//     state, or failed over from; then each call of a node may come to either of the two.
//   - Time passes in ticks, each of which is longer than everything that the code measures: commits
//     are too old from then on, chains silent, seals old.
//
// Committed offsets have a machine of their own, offsets: who commits, who owns a group, and who
// is told what.
//
// What is left out: topics and their changes (facts that commute, as commits do), producers'
// sequence numbers (known again as keys are), leases (two holders at once are searched),
// partitions beyond one and segments of more than one record, index objects, the repeat of both
// the parts of an opening and its call by the network (a TCP connection does not do that, and the
// client library does not send again), and a direct writer that puts its batches under a new id.
//
// Each rule of the protocol can be left out (rules). TestRulesAreNeeded leaves out one at a time
// and finds the violation. For a few nothing is found, because another rule stands in for them;
// the list in search_test.go says which.
//
// The steps have the names of the code. The tables code, beyond and methods name every call of the
// coordinator, every script of package redis, and every put, delete and listing of the bucket that
// the code has; tests fail when the code has one that is not named there.
//
// What makes the search small: states that differ in the names of nodes only are one (swap), what
// nobody looks at any more is forgotten (tidyUp, forgetHistory), and of a state that was seen 64
// bits are kept. To lose one among 10 million has a chance of one in some 300,000.
//
// How many states each configuration has is in configs.go, and a search that counts another number
// fails: what the model says has changed then. TestProtocol searches shortConfigs;
// make model searches longConfigs as well.
package model
