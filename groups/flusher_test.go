package groups_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// slowJournal takes its time for each put into the journal, unless the caller gives up.
type slowJournal struct {
	segments.Store
	takes atomic.Int64
}

func (s *slowJournal) Put(ctx context.Context, key string, body []byte) error {
	if strings.HasPrefix(key, "journal/") {
		select {
		case <-time.After(time.Duration(s.takes.Load())):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Store.Put(ctx, key, body)
}

// A node that is stopped leaves no offset behind that it has acknowledged: not those that wait to
// be journaled, nor those that are on their way into the journal.
func TestCommitsOutliveAStop(t *testing.T) {
	for name, wait := range map[string]time.Duration{"waiting": 0, "on their way": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &slowJournal{Store: memory.New()}
				o := start(t, store, embedded.New(embedded.Options{}), 1, groups.Options{})
				at := segments.Partition{Topic: createTopic(t, o.node)}
				fill(t, o.node, at, 10)
				store.takes.Store(int64(5 * time.Second))
				group := groupOf(t, o)
				if err := o.commit(t, group, outsider, at, 7); err != nil {
					t.Fatal(err)
				}
				time.Sleep(wait)
				o.stop(t)
				store.takes.Store(0)
				after := start(t, store, embedded.New(embedded.Options{}), 1, groups.Options{})
				defer after.stop(t)
				wantCommitted(t, after, group, at, 7)
			})
		})
	}
}
