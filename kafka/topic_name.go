package kafka

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn/coordinator"
)

// maxTopicName is the length of the longest topic name, in bytes: Kafka's.
const maxTopicName = 249

// checkTopicName applies Kafka's rules for the names of topics.
func checkTopicName(name string) *refusal {
	switch {
	case name == "":
		return refuse(kerr.InvalidTopicException, "a topic name must not be empty")
	case name == "." || name == "..":
		return refuse(kerr.InvalidTopicException, "a topic name must not be %q", name)
	case len(name) > maxTopicName:
		return refuse(kerr.InvalidTopicException, "topic name of %d characters is too long: at most %d are allowed", len(name), maxTopicName)
	case strings.ContainsFunc(name, notInTopicName):
		return refuse(kerr.InvalidTopicException, "topic name %q has other characters than letters and digits of ASCII, '.', '_' and '-'", name)
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

// Kafka refuses a topic whose name differs from another's in '.' against '_' only, because its metrics cannot tell the two apart.
// Tools rely on it, so Firn does as well; it is checked by each node for itself, so two nodes asked at the same moment may let
// such a pair pass.

// collisionKey is what the names of topics that collide have in common; false for names that collide with no other.
func collisionKey(name string) (string, bool) {
	if !strings.ContainsAny(name, "._") {
		return "", false
	}
	return strings.ReplaceAll(name, ".", "_"), true
}

// claims are the names that new topics may collide with, by what they would have in common.
type claims map[string]string

func claimsOf(topics []*coordinator.Topic) claims {
	c := claims{}
	for _, t := range topics {
		c.add(t.Name)
	}
	return c
}

func (c claims) add(name string) {
	if key, ok := collisionKey(name); ok {
		c[key] = name
	}
}

// check refuses a name that collides with another.
func (c claims) check(name string) *refusal {
	key, _ := collisionKey(name)
	if other, taken := c[key]; taken && other != name {
		return refuse(kerr.InvalidTopicException, "topic name %q collides with %q: names must differ in more than '.' and '_'", name, other)
	}
	return nil
}

// unknownTopic refuses what is asked of a topic that does not exist.
func unknownTopic(name string) *refusal {
	return refuse(kerr.UnknownTopicOrPartition, "there is no topic %q", name)
}
