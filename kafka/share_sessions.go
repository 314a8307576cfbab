package kafka

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/segments"
)

// A member of a share group has a session with each node that it fetches from: the partitions that
// it wants to have records of, so that it does not name them each time. A session ends with the
// connection that began it. Then, as at its close, what the member has acquired is given back.

// shareSession is one session. Its requests come one after the other, numbered by its epoch.
type shareSession struct {
	key   shareSessionKey
	owner *peer // of the connection that it ends with
	of    access.Client

	epoch      int32 // of the next request
	partitions []sharePartition
}

type shareSessionKey struct{ group, member string }

// sharePartition is a partition of a session.
type sharePartition struct {
	segments.Partition
	maxBytes int
}

// Kafka's epochs: the first request of a session, and the last.
const (
	shareSessionBegins = 0
	shareSessionEnds   = -1
)

// Bounds of the sessions of a node. Clients of one address have half of either at most.
const (
	maxShareSessions          = 2000 // Kafka's group.share.max.share.sessions
	maxShareSessionPartitions = 200_000
)

// shareSessions are those of a node.
type shareSessions struct {
	mu         sync.Mutex
	all        map[shareSessionKey]*shareSession
	partitions int
	used       map[netip.Addr]sharesUsed
}

type sharesUsed struct{ sessions, partitions int }

// take finds the session that a request is of, or begins it, and counts the request.
func (all *shareSessions) take(from *peer, key shareSessionKey, epoch int32, fetches bool) (*shareSession,
	*kerr.Error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	known := all.all[key]
	switch {
	case epoch == shareSessionBegins && !fetches:
		return nil, kerr.InvalidShareSessionEpoch
	case epoch == shareSessionBegins:
		if known != nil {
			all.dropLocked(known)
		}
		used := all.used[from.address]
		if len(all.all) >= maxShareSessions || used.sessions >= maxShareSessions/2 {
			return nil, kerr.ShareSessionLimitReached
		}
		if all.all == nil {
			all.all, all.used = map[shareSessionKey]*shareSession{}, map[netip.Addr]sharesUsed{}
		}
		begun := &shareSession{key: key, owner: from, of: from.asks.Client, epoch: 1}
		used.sessions++
		all.all[key], all.used[from.address] = begun, used
		return begun, nil
	case known == nil:
		return nil, kerr.ShareSessionNotFound
	case epoch == shareSessionEnds:
		all.dropLocked(known)
	case epoch != known.epoch:
		return nil, kerr.InvalidShareSessionEpoch
	default:
		known.epoch = max(known.epoch+1, 1) // as Kafka's: they begin again at 1
	}
	return known, nil
}

// update changes which partitions a session has, and returns them.
func (all *shareSessions) update(of *shareSession, add []sharePartition, forget []segments.Partition) ([]sharePartition,
	*kerr.Error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.all[of.key] != of { // another has begun meanwhile
		return nil, kerr.ShareSessionNotFound
	}
	next := slices.Clone(of.partitions)
	at := make(map[segments.Partition]int, len(next)+len(add))
	for i := range next {
		at[next[i].Partition] = i
	}
	for _, p := range add {
		if i, known := at[p.Partition]; known {
			next[i] = p
			continue
		}
		at[p.Partition] = len(next)
		next = append(next, p)
	}
	if len(forget) > 0 {
		gone := make(map[segments.Partition]bool, len(forget))
		for _, p := range forget {
			gone[p] = true
		}
		next = slices.DeleteFunc(next, func(p sharePartition) bool { return gone[p.Partition] })
	}
	const most = maxShareSessionPartitions
	more, used := len(next)-len(of.partitions), all.used[of.owner.address]
	if more > 0 && (all.partitions+more > most || used.partitions+more > most/2) {
		return nil, kerr.ShareSessionLimitReached
	}
	all.partitions += more
	used.partitions += more
	all.used[of.owner.address] = used
	of.partitions = next
	return slices.Clone(next), nil
}

func (all *shareSessions) dropLocked(s *shareSession) {
	delete(all.all, s.key)
	all.partitions -= len(s.partitions)
	used := all.used[s.owner.address]
	used.sessions--
	used.partitions -= len(s.partitions)
	all.used[s.owner.address] = used
	if used == (sharesUsed{}) {
		delete(all.used, s.owner.address)
	}
}

// of returns the sessions that a connection began, and drops them.
func (all *shareSessions) of(owner *peer) (ended []*shareSession) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, s := range all.all {
		if s.owner == owner {
			ended = append(ended, s)
		}
	}
	for _, s := range ended {
		all.dropLocked(s)
	}
	return ended
}

// count is how many sessions there are.
func (all *shareSessions) count() int {
	all.mu.Lock()
	defer all.mu.Unlock()
	return len(all.all)
}

// indexes are the partitions of a session.
func (s *shareSession) indexes() []segments.Partition {
	all := make([]segments.Partition, len(s.partitions))
	for i := range s.partitions {
		all[i] = s.partitions[i].Partition
	}
	return all
}

// shareReleaseTimeout bounds how long the end of a connection waits for the owners of groups.
const shareReleaseTimeout = 5 * time.Second

// endShareSessions gives back what the members have acquired whose connection has ended.
func (s *Server) endShareSessions(owner *peer) {
	ended := s.shares.of(owner)
	if len(ended) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shareReleaseTimeout)
	defer cancel()
	for _, session := range ended {
		owner := s.shareOwner(session.key.group, session.of)
		if err := owner.ReleaseShares(ctx, session.key.group, session.key.member, session.indexes()); err != nil {
			s.opts.Logger.Debug("what a member of a share group has acquired is given back when its time is over",
				"group", session.key.group, "member", session.key.member, "error", err)
		}
	}
}
