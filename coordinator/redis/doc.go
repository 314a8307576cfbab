// Package redis is the coordinator in Redis (7.0 or later, or Valkey): one server, a master
// that sentinels watch, or Redis Cluster. It gives the same answers as embedded.Coordinator,
// and a test compares them.
//
// Redis is fast here, not safe: everything acknowledged is in the bucket, and when Redis has lost
// anything, its state is not used any more and coordinator.Recover builds a new one. So this
// package has to do two things well: decide in one step, and notice every loss.
//
// # Deciding
//
// Every call of the contract is one Lua script (lua/*.lua, embedded, called by hash; each says
// at its top what it takes and returns). A script decides everything before it writes anything,
// because Redis does not undo. It decides only what has to be decided there: commit.lua gets
// the request as request.go encodes it, answers each group of batches with a code and an
// offset, and keeps request and decisions together as a chunk, from which every node makes the
// same fact (chunk.go). What a topic becomes is worked out in Go, and takes effect if the topic
// is still what it was.
//
// All times are Redis' TIME. Numbers that Lua counts (offsets, entries, producer ids handed out)
// stay below 2^53, where its floating point is exact; commits that would go beyond are refused.
// Every other 64-bit value passes through as bytes.
//
// A reply may be lost. go-redis would then run the script again without telling us: that is
// off (MaxRetries -1, and once for clusters, whose client ignores MaxRetries). The error
// goes to the caller, who may repeat the call: Commit is idempotent by segment id, Propose
// by change id, the others by themselves. Only Open may not be repeated once its last script
// was sent: see Coordinator.Open.
//
// # Noticing
//
// State is opened under a generation: the incarnation and a random suffix. The key `current` names
// the generation and the server that it was opened on, and each script first compares both with
// what the caller believes and with the server that it runs on:
//
//	another server, or nothing there   coordinator.ErrNotOpen       a node has to recover
//	another generation                 coordinator.ErrIncarnation   one has: begin a new life
//	a replica, or no answer            an error that passes         try again
//
// The server is its run_id and its master_replid. The run_id changes with each start, so a restart
// is noticed, with whatever the server found on its disk; and a replica that takes over has another
// run_id. That is not enough: a master that becomes a replica of its own former replica and is then
// promoted again has kept its run_id and may have lost what the other never received. Whenever a
// server has been a replica its master_replid changes. It also changes when the first replica is
// attached, and when the last one has been away for repl-backlog-ttl, which costs a recovery of a
// moment. (INFO takes about 10 µs of each call.) Nothing inside Redis can tell that a whole virtual
// machine was set back with its memory: do not restore those; start Redis again.
//
// Open loads under new keys; load.lua checks for each part that it is the same server still and
// that the parts before are still there; open.lua checks that all are and makes the generation
// current. A half-loaded state, whatever happens in between, is never used as a whole one, and of
// two recoveries the later stands. Keys of generations before are removed then. A follower reads
// the stream without a script, because where a generation cannot be trusted nobody appends to its
// stream any more; at least once a second the follower looks.
//
// Keys that Redis evicts by itself would not be noticed: a maxmemory-policy other than noeviction
// is refused. A full Redis refuses commits, and nothing breaks.
//
// # Keys
//
// All keys begin with the hash tag of their shard, {firn:<prefix>:0}, so that those of one script
// lie in one slot of a cluster. Then, once for a shard:
//
//	:current                  hash    generation, server, and the cluster id, so that two buckets
//	                                   cannot share a prefix by mistake
//	:generations              zset    generations whose keys may exist, by time
//	:recovering               hash    the newest recovery that said that it lives, and until when
//
// and for each generation, behind :<incarnation>.<random>:
//
//	:counters                 hash    seq (entries), lease (epochs), producer_ids,
//	                                   offsets_version, txns_version, parts (loaded),
//	                                   seconds (in which segments were committed)
//	:topics                   hash    topic id -> its newest fact; deleted topics stay
//	:names                    hash    name -> topic id, of live topics
//	:settling                 hash    name -> entry of the deletion that has to be confirmed
//	                                   before the name is free and, behind a zero byte,
//	                                   topic id -> the same
//	:usable                   hash    topic id -> partitions that commits may use: those that are
//	                                   confirmed; -1 if deleted
//	:ends                     hash    partition -> next offset, and the end of its confirmed
//	                                   prefix where that is less
//	:starts                   hash    partition -> log start offset (if above 0)
//	:islands                  hash    confirmed ranges beyond something that is not: see confirm.lua
//	:merges                   hash    partition -> version of its newest merge (if there was one),
//	                                   and its entry while that awaits its confirmation
//	:producers:<topic>/<n>    hash    producer id -> epoch, time, its five newest batches
//	:keyed:<topic>/<n>:<slot> hash    id of a keyed request -> its body's hash, time, offset,
//	                                   records, and how those were made; expires
//	:requests:<topic>:<slot>  hash    id of a keyed request -> its body's hash, time, and how its
//	                                   records were made; expires
//	:stream                   stream  the commit stream: entry n has id n-0 and one field
//	                                   (commit, fact, ids, offsets or confirmed)
//	:pending, :order          hash, zset  facts that await their confirmation, and what that will do
//	:commits:<second>         hash    segment id -> what was decided of it, of segments of that
//	                                   second; expires
//	:change:<id>              hash    what a change became; expires
//	:ids                      hash    transactional id -> its newest fact
//	:writers                  hash    producer id -> the transactional id that has it
//	:transaction:<producer>   hash    of such a producer id: writer (epoch, ordinal, aborting),
//	                                   added (partitions of the old protocol), ended, awaits (the
//	                                   entry of a fence or an ending, until that is confirmed), and
//	                                   by partition the newest offset of its transaction
//	:leases                   hash    name -> number, end, holder
//	:nodes                    hash    id -> end, what there is to know
//
// A partition's name in fields is its topic id (16 bytes) and index (4). Sizes: about 100 bytes for
// a partition, 150 for a producer, for each commit five to ten bytes for each of its partitions
// while it is remembered (until the commit deadline; see chunk.go), and in the stream about 83 for
// each, of which RetainBytes are kept and all that is not confirmed. A node that follows from
// further back reads the bucket (coordinator.ErrTrimmed).
//
// # Bounds
//
// A script holds everybody up, so the work of each is bounded, whatever a client asks for, and does
// not depend on what others do: it reads no structure as a whole but the few nodes. High watermarks
// are kept, not worked out from what is pending. Requests of any length are cut here into calls of
// marksAtOnce, keyedAtOnce, confirmAtOnce partitions; the contract limits what is decided in one
// step: coordinator.MaxLogStarts, coordinator.MaxCommitDecisions. The remains of a deleted topic's
// partitions are removed after the decision, in steps, and by forget.go if that is interrupted.
// bounds_test.go counts the commands.
//
// There may be many keyed requests, and each has to go after a day. To look for expired ones would
// cost as much as to write them, so a partition has four slots: the requests of half a day go into
// one, which Redis drops as a whole when the last of them has expired, between a day and a day and
// a half after they were written. A commit looks into all four, and goes by the time that each
// entry carries. A topic has four as well, which say once for each request how its records were
// given their partitions: so a retry that would give them other partitions, because the topic has
// grown, is recognized. Measured: 140 bytes for a request in each partition that it touches, 75
// where a slot has at most 128, which Redis keeps packed: 2 million, a day at 23/s, are 280 MB; 28
// µs for a keyed batch, where a plain one takes 11; 0.4 s to load 100,000 of them.
//
// # Shards
//
// There is one shard, number 0, which every partition belongs to: one slot of a cluster does all
// the work. The keys and scripts know nothing else, but a second shard needs more than another
// number: a partition would belong to shard hash(topic id, index) mod n, with n fixed at the
// opening of the incarnation and in `current`; a commit would go to each shard that its segment
// touches, and become a fact in each; topics, leases and nodes would stay in shard 0, and the other
// shards would learn `usable` by confirmation; an incarnation would be open when it is in all
// shards, shard 0 last; and Entry.Seq would be counted for each shard, so that Follow and Settled
// take and return one number for each. That last one is a change of the contract. Transactions need
// one step: all their partitions, and their ids, would have to be in one shard.
package redis
