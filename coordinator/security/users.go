package security

import (
	"encoding/json"
	"slices"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// Users knows the users that the view shows when it is asked.
type Users struct{ View *coordinator.View }

// scramKeys is a user's value.
type scramKeys struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	StoredKey  []byte `json:"storedKey"`
	ServerKey  []byte `json:"serverKey"`
}

func userKey(user string, mechanism access.ScramMechanism) string {
	key, err := json.Marshal([2]string{mechanism.String(), user})
	if err != nil {
		panic(err) // strings can always be written
	}
	return string(key)
}

// ScramKeys implements access.Users. Keys that cannot be understood let nobody in.
func (u Users) ScramKeys(user string, mechanism access.ScramMechanism) (access.ScramKeys, bool) {
	value, set := u.View.Setting(coordinator.UserSetting, userKey(user, mechanism))
	if !set {
		return access.ScramKeys{}, false
	}
	var k scramKeys
	if json.Unmarshal([]byte(value), &k) != nil {
		return access.ScramKeys{}, false
	}
	keys := access.ScramKeys(k)
	return keys, keys.Validate(mechanism) == nil
}

// Names returns the names of all users that have keys of some mechanism, in order.
func (u Users) Names() []string {
	settings, _ := u.View.Settings(coordinator.UserSetting)
	names := make([]string, 0, len(settings))
	for key := range settings {
		var f []string
		if json.Unmarshal([]byte(key), &f) == nil && len(f) == 2 {
			names = append(names, f[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// SetUser is the change that gives a user other keys of a mechanism.
func (u Users) SetUser(user string, m access.ScramMechanism, keys access.ScramKeys) (coordinator.Setting, error) {
	if err := access.CheckUserName(user); err != nil {
		return coordinator.Setting{}, err
	}
	if err := keys.Validate(m); err != nil {
		return coordinator.Setting{}, err
	}
	value, err := json.Marshal(scramKeys(keys))
	if err != nil {
		return coordinator.Setting{}, err
	}
	return coordinator.Setting{Kind: coordinator.UserSetting, Key: userKey(user, m), Value: string(value)}, nil
}

// DeleteUser is the change that takes a user's keys of a mechanism away.
func (u Users) DeleteUser(user string, m access.ScramMechanism) coordinator.Setting {
	return coordinator.Setting{Kind: coordinator.UserSetting, Key: userKey(user, m), Deleted: true}
}
