// Package cleanup keeps a bucket tidy: it merges small mixed segments into large ones of one
// partition each, removes old records as their topics' configs say, compacts, and deletes objects
// that nothing needs any more. It works through the coordinator and the store alone, and knows
// nothing of who writes and reads meanwhile: they notice it only by what it costs, which Pace
// bounds.
//
// Every node runs a Cleaner. The partitions are spread over the live nodes by rendezvous hash, so
// that they seldom meet, and whoever changes a partition holds its lease ("cleanup/<topic
// id>/<index>"): a merge is decided under the lease's epoch or not at all. Log starts need none:
// they only move up. Garbage is collected under one lease in the cluster.
//
// Pure functions of the view decide what a round of a Cleaner does with a partition: plan (what is
// merged next), expired (where retention moves the log start). A job then does it, step by step, so
// that it can end at any point: a merged segment is written whole, its merge is decided, the old
// segments become garbage, and the collector finds them a grace time later. A job that ends before
// leaves an object that nothing refers to, which the collector finds as well.
package cleanup
