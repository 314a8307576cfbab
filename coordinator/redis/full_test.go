package redis_test

import (
	"errors"
	"slices"
	"testing"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
)

// refusedWhenFull are the calls that need room. All others work on a full Redis: nodes stay
// announced and hold their leases, what was decided is confirmed, everything can be read, and
// topics can be deleted, which makes room.
var refusedWhenFull = []string{"Open", "Open, in many parts", "Commit", "Commit, known",
	"Propose.CreateTopic", "Propose.Grow", "Propose.Configure", "Propose.LogStart",
	"Propose.ProducerIDs", "Propose.Offsets", "Propose.Merge", "Propose.Settings",
	"Commit, ending", "Commit, ending, known", "Propose.Fence", "Propose.Add", "Propose.Stage", "Propose.Forget"}

// Each call is made while Redis is full, and once more when it has room: what needs room is refused
// whole, as trouble that passes, and done then.
func TestEachCallOnAFullRedis(t *testing.T) {
	server := redistest.Start(t)
	for name, row := range eachCall {
		t.Run(name, func(t *testing.T) {
			want, right := modelOf(t, row)
			c := connect(t, redis.Options{Addrs: []string{server.Addr}})
			w := &lostWorld{t: t, ids: want.ids, via: c, direct: c}
			w.open(row)
			server.Do("CONFIG", "SET", "maxmemory", "1")
			answer, err := row.call(w, c)
			server.Do("CONFIG", "SET", "maxmemory", "0")
			refused := slices.Contains(refusedWhenFull, name)
			if refused != errors.Is(err, coordinator.ErrUnavailable) || refused != (err != nil) {
				t.Errorf("while Redis is full: %v; should be refused: %v", err, refused)
			}
			if err != nil {
				if answer, err = row.call(w, c); err != nil {
					t.Error(err)
				}
			}
			if answer != right {
				t.Errorf("answered %q, should be %q", answer, right)
			}
			want.goOn(row)
			w.goOn(row)
			if got, want := w.story(row), want.story(row); got != want {
				t.Errorf("afterwards there is\n%sshould be\n%s", got, want)
			}
		})
	}
}

// TestFull: a server that has hardly any memory left is named, and one without a limit is not.
func TestFull(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	for most, want := range map[string]bool{"0": false, "1000000": true, "1000000000": false} {
		server.Do("CONFIG", "SET", "maxmemory", most)
		full, err := redis.Full(t.Context(), c)
		if err != nil || (full != "") != want {
			t.Errorf("with maxmemory %s it is %q, %v", most, full, err)
		}
	}
}
