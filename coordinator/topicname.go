package coordinator

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"firn.dev/segments"
)

// ErrTopicName is what is wrong with a name that no topic can have.
var ErrTopicName = errors.New("not a name for a topic")

// maxTopicName is the length of the longest topic name, in bytes: Kafka's.
const maxTopicName = 249

// CheckTopicName applies Kafka's rules for the names of topics.
func CheckTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: a topic name must not be empty", ErrTopicName)
	case name == "." || name == "..":
		return fmt.Errorf("%w: a topic name must not be %q", ErrTopicName, name)
	case len(name) > maxTopicName:
		return fmt.Errorf("%w: %d characters are too long: at most %d are allowed", ErrTopicName, len(name), maxTopicName)
	case strings.ContainsFunc(name, notInTopicName):
		return fmt.Errorf("%w: %q has other characters than letters and digits of ASCII, '.', '_' and '-'",
			ErrTopicName, name)
	}
	return nil
}

func notInTopicName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}

// internalTopics are the topics that Kafka keeps its own state in. Firn keeps it elsewhere: front
// doors may show what tools read of them, and no ordinary topic has such a name.
var internalTopics = []string{"__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"}

// IsInternalTopic says that a name is of a topic that Kafka keeps its own state in.
func IsInternalTopic(name string) bool { return slices.Contains(internalTopics, name) }

// InternalTopicID is the id under which an internal topic is shown. No id of another topic has
// letters alone: see segments.NewTopicID.
func InternalTopicID(name string) (id segments.TopicID) {
	copy(id[:], name)
	return id
}

// TopicName is the name of a topic, also of an internal one; "" if there is none.
func (v *View) TopicName(id segments.TopicID) string {
	if t := v.TopicByID(id); t != nil {
		return t.Name
	}
	for _, name := range internalTopics {
		if InternalTopicID(name) == id {
			return name
		}
	}
	return ""
}

// TopicNames are the names that new topics may collide with, by what they would have in common.
// Kafka refuses a topic whose name differs from another's in '.' against '_' only, because its
// metrics cannot tell the two apart. Tools rely on it, so Firn refuses it as well. Each node checks
// it for itself, so two nodes asked at the same moment may let such a pair pass.
type TopicNames map[string]string

// NamesOf returns the names of topics.
func NamesOf(topics []*Topic) TopicNames {
	n := TopicNames{}
	for _, t := range topics {
		n.Add(t.Name)
	}
	return n
}

// Add notes a name. One without '.' and '_' collides with no other.
func (n TopicNames) Add(name string) {
	if strings.ContainsAny(name, "._") {
		n[collisionKey(name)] = name
	}
}

// Check refuses a name that no new topic may have: one that collides with another, or is of one of
// Kafka's internal topics.
func (n TopicNames) Check(name string) error {
	if IsInternalTopic(name) {
		return fmt.Errorf("%w: %q is internal to Kafka; Firn keeps what would be in it elsewhere", ErrTopicName, name)
	}
	if other, taken := n[collisionKey(name)]; taken && other != name {
		return fmt.Errorf("%w: %q collides with %q: names must differ in more than '.' and '_'", ErrTopicName, name, other)
	}
	return nil
}

// collisionKey is what the names of topics that collide have in common.
func collisionKey(name string) string { return strings.ReplaceAll(name, ".", "_") }
