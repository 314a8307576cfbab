// Package sim runs whole clusters of real nodes, with direct writers, readers and clients around
// them, through hours of trouble in moments of virtual time, and judges what they serve.
//
// What runs is Firn's own code: coordinator.Node and the embedded coordinator, ingest, index,
// groups, cleanup, rest and direct writers. What is played is what lies around it:
//
//   - the bucket (store.go) is a memory.Store;
//   - Redis (redis.go) is an embedded coordinator that nodes share, with what makes Redis
//     dangerous: it is wiped, restarted, rewound, failed over to a lagging replica, and split;
//   - processes (process.go) are killed, frozen and thawed, and every call that one makes to the
//     bucket or the coordinator, by its name in the code, may be lost, late, repeated or refused,
//     and so may its answer be lost (call.go);
//   - the topic may have a bound of bytes, or be compacted: the judge knows what may be gone by
//     that;
//   - clients (clients.go, keyed.go, groups.go, admin.go) do what producers and consumers do, and
//     tell the judge (judge.go).
//
// One simulation is described by a Plan (plan.go), which a seed makes. What happens to a call
// depends on the seed, on who calls, on the name of the call, and on how many of that name were
// made before, not on what happens elsewhere: so a plan that is made smaller (shrink.go) mostly
// goes on as before.
package sim
