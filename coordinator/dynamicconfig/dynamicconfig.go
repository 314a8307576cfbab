// Package dynamicconfig has the configs that Kafka's tools set while nodes run, on what is no
// topic: on consumer groups, brokers and subscriptions to clients' metrics. They are settings, as
// coordinator/security/FORMAT.md has them, and every node shows the same.
package dynamicconfig

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"firn.dev/coordinator"
)

// ErrTooMany is returned by Changes when more configs would be set than maxConfigs. Somebody has to
// delete some.
var ErrTooMany = errors.New("too many configs of groups, brokers and clients' metrics")

// maxConfigs bounds how many configs are set, of all resources together, maxValueBytes each value,
// and maxNameBytes the name of a resource.
const (
	maxConfigs    = 10_000
	maxValueBytes = 1 << 10
	maxNameBytes  = 255
)

// Kind is what kind of thing has configs.
type Kind string

// The kinds of resources, as their settings' keys have them.
const (
	Group         Kind = "group"
	Broker        Kind = "broker" // named by its id; without a name all of them
	ClientMetrics Kind = "client-metrics"
)

// Resource is something that has configs.
type Resource struct {
	Kind Kind
	Name string
}

// key is that of the setting which holds a config.
func (r Resource) key(config string) string {
	key, _ := json.Marshal([]string{string(r.Kind), r.Name, config}) // strings: it cannot fail
	return string(key)
}

// parseKey is the other way round; false for what this version does not understand.
func parseKey(key string) (r Resource, config string, ok bool) {
	var parts []string
	if err := json.Unmarshal([]byte(key), &parts); err != nil || len(parts) != 3 {
		return r, "", false
	}
	r = Resource{Kind(parts[0]), parts[1]}
	_, known := Lookup(r.Kind, parts[2])
	return r, parts[2], known
}

// Value is what a config of a resource is set to; false if it is not.
func Value(view *coordinator.View, r Resource, config string) (string, bool) {
	if !utf8.ValidString(r.Name) { // its key is another's
		return "", false
	}
	return view.Setting(coordinator.ConfigSetting, r.key(config))
}

// Of returns the configs that are set on a resource.
func Of(view *coordinator.View, r Resource) map[string]string {
	set := map[string]string{}
	for _, d := range All(r.Kind) {
		if value, is := Value(view, r, d.Name); is {
			set[d.Name] = value
		}
	}
	return set
}

// Names returns the names of the resources of a kind that have a config set, in order.
func Names(view *coordinator.View, kind Kind) []string {
	settings, _ := view.Settings(coordinator.ConfigSetting)
	var names []string
	for key := range settings {
		if r, _, known := parseKey(key); known && r.Kind == kind {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Changes returns what leads from what is set on a resource to other configs, which Check has
// found right.
func Changes(view *coordinator.View, r Resource, to map[string]string) ([]coordinator.Setting, error) {
	var changes []coordinator.Setting
	grows, from := 0, Of(view, r)
	for _, d := range All(r.Kind) {
		old, was := from[d.Name]
		value, is := to[d.Name]
		change := coordinator.Setting{Kind: coordinator.ConfigSetting, Key: r.key(d.Name), Value: value}
		switch {
		case is && (!was || old != value):
			if !was {
				grows++
			}
			changes = append(changes, change)
		case was && !is:
			change.Deleted = true
			changes = append(changes, change)
		}
	}
	if grows > 0 && view.SettingsCount(coordinator.ConfigSetting)+grows > maxConfigs {
		return nil, fmt.Errorf("%w: at most %d may be set", ErrTooMany, maxConfigs)
	}
	return changes, nil
}

// Check returns what is wrong with the configs that are to be set on a resource, nil if nothing is.
func Check(r Resource, set map[string]string) error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(set) > 0 && len(r.Name) > maxNameBytes {
		bad("the name of the %s has %d bytes; with more than %d it cannot have configs", r.Kind, len(r.Name), maxNameBytes)
	}
	if len(set) > 0 && !utf8.ValidString(r.Name) { // they would be kept as another's
		bad("the name of the %s is not UTF-8, so it cannot have configs", r.Kind)
	}
	for name, value := range set {
		d, known := Lookup(r.Kind, name)
		if !known {
			bad("unknown %s config %q; there are %s", r.Kind, name, namesOf(r.Kind))
		} else if len(value) > maxValueBytes {
			bad("%s has %d bytes; at most %d are allowed", name, len(value), maxValueBytes)
		} else if err := d.check(value); err != nil {
			bad("%s: %q %w", name, value, err)
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// namesOf lists the configs of a kind, for people.
func namesOf(kind Kind) string {
	var names []string
	for _, d := range All(kind) {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
}
