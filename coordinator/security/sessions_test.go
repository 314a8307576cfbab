package security_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// Sessions that were ended lie where FORMAT.md says, are no users, and go when they are over.
func TestEndedSessions(t *testing.T) {
	now := time.Unix(1000, 0)
	entry := func(user, id, until string) coordinator.Setting {
		key := fmt.Sprintf(`["ended-session",%q,%q]`, user, id)
		return coordinator.Setting{Kind: coordinator.UserSetting, Key: key, Value: until}
	}
	view := viewOf(t, entry("alice", "over", "999"), entry("alice", "a", "1001"), entry("bob", "b", "?"))
	sessions := security.EndedSessions{View: view}
	for id, want := range map[string]bool{"over": true, "a": true, "b": false, "c": false} {
		if got := sessions.Ended(login.Session{User: "alice", ID: id}); got != want {
			t.Errorf("alice's session %s has ended: %v", id, got)
		}
	}
	if names := (security.Users{View: view}).Names(); len(names) > 0 {
		t.Errorf("users are %v", names)
	}
	changes, err := sessions.End(login.Session{User: "alice", ID: "c", Until: time.Unix(2000, 0)}, now)
	gone := entry("alice", "over", "")
	gone.Deleted = true
	broken := entry("bob", "b", "")
	broken.Deleted = true
	if err != nil || len(changes) != 3 || changes[0] != entry("alice", "c", "2000") ||
		!slices.Contains(changes, gone) || !slices.Contains(changes, broken) {
		t.Errorf("the change is %+v, %v", changes, err)
	}
}

// One user cannot have all nodes remember as many as there is room for.
func TestEndedSessionsAreBounded(t *testing.T) {
	many := func(users, each int) *coordinator.View {
		var changes []coordinator.Setting
		for u := range users {
			for n := range each {
				changes = append(changes, coordinator.Setting{Kind: coordinator.UserSetting,
					Key: fmt.Sprintf(`["ended-session","user %d","%d"]`, u, n), Value: "2000"})
			}
		}
		return viewOf(t, changes...)
	}
	for _, c := range []struct {
		users, each int
		user        string
		full        bool
	}{
		{1, security.MaxEndedSessionsOfUser - 1, "user 0", false},
		{1, security.MaxEndedSessionsOfUser, "user 0", true},
		{1, security.MaxEndedSessionsOfUser, "another", false},
		{security.MaxEndedSessions, 1, "another", true},
	} {
		sessions := security.EndedSessions{View: many(c.users, c.each)}
		_, err := sessions.End(login.Session{User: c.user, ID: "new", Until: time.Unix(2000, 0)}, time.Unix(1000, 0))
		if c.full != (err != nil) {
			t.Errorf("%s, where %d users have ended %d sessions each: %v", c.user, c.users, c.each, err)
		}
	}
}
