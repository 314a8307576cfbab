package security

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"firn.dev/access/login"
	"firn.dev/coordinator"
)

// Bounds of how many sessions are remembered that were ended before their time, of all users and of
// one. Each change of settings has every node read ACLs and quotas again.
const (
	MaxEndedSessions       = 10_000
	MaxEndedSessionsOfUser = 100
)

// endedSession is the first part of the keys of sessions that were ended. They are settings of
// users, because nodes that do not know of them take a key of three parts for no user.
const endedSession = "ended-session"

// EndedSessions knows the sessions that the view shows as ended when it is asked.
type EndedSessions struct{ View *coordinator.View }

var _ login.EndedSessions = EndedSessions{}

func endedKey(s login.Session) string {
	key, err := json.Marshal([3]string{endedSession, s.User, s.ID})
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(key)
}

// Ended implements login.EndedSessions.
func (e EndedSessions) Ended(s login.Session) bool {
	_, set := e.View.Setting(coordinator.UserSetting, endedKey(s))
	return set
}

// End is the change that ends a session on every node. It takes away what is remembered of sessions
// that would be over by now, as many as fit into one change.
func (e EndedSessions) End(s login.Session, now time.Time) ([]coordinator.Setting, error) {
	settings, _ := e.View.Settings(coordinator.UserSetting)
	changes := []coordinator.Setting{{Kind: coordinator.UserSetting, Key: endedKey(s),
		Value: strconv.FormatInt(s.Until.Unix(), 10)}}
	all, ofUser := 0, 0
	for key, value := range settings {
		var parts []string
		if json.Unmarshal([]byte(key), &parts) != nil || len(parts) != 3 || parts[0] != endedSession {
			continue
		}
		until, err := strconv.ParseInt(value, 10, 64)
		if over := err != nil || now.Unix() > until; over && key != changes[0].Key {
			if len(changes) < coordinator.MaxSettings {
				changes = append(changes, coordinator.Setting{Kind: coordinator.UserSetting, Key: key, Deleted: true})
			}
			continue
		}
		all++
		if parts[1] == s.User {
			ofUser++
		}
	}
	if all >= MaxEndedSessions || ofUser >= MaxEndedSessionsOfUser {
		return nil, fmt.Errorf("within an hour %d sessions of this user have ended, of at most %d, and %d of all users, "+
			"of at most %d", ofUser, MaxEndedSessionsOfUser, all, MaxEndedSessions)
	}
	return changes, nil
}
