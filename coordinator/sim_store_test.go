package coordinator

import (
	"context"
	"iter"
	"slices"
	"strings"

	"firn.dev/segments"
)

// simStore is the bucket as one node sees it: slow and unreliable.
type simStore struct{ n *simNode }

func (s simStore) Put(ctx context.Context, key string, body []byte) error {
	s.n.pausing("put " + key)
	sim := s.n.sim
	if sim.flaws.noSeals && strings.HasPrefix(key, journalPrefix) && journalKind(body[headerLen]) == journalSeal {
		return nil
	}
	switch sim.pick(16, "put") {
	case 13: // the request is lost
		return errLost
	case 14: // it arrives later
		sim.late = append(sim.late, latePut{key, slices.Clone(body)})
		return errLost
	case 15: // the reply is lost
		_ = sim.bucket.Put(ctx, key, body)
		return errLost
	}
	return sim.bucket.Put(ctx, key, body)
}

// Create is of no use here: no node of the simulation writes an object in pieces.
func (s simStore) Create(context.Context, string) (segments.Upload, error) {
	return nil, errLost
}

func (s simStore) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	s.n.pausing("get " + key)
	return s.n.sim.bucket.Get(ctx, key, offset, length)
}

func (s simStore) List(ctx context.Context, prefix, after string) iter.Seq2[segments.Object, error] {
	s.n.pausing("list " + prefix)
	return s.n.sim.bucket.List(ctx, prefix, after)
}

func (s simStore) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		s.n.pausing("delete " + key)
		s.n.sim.must(s.n.sim.bucket.Delete(ctx, key))
	}
	return nil
}
