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

// checkCollision refuses a name that collides with that of another topic.
func checkCollision(name string, topics []*coordinator.Topic) *refusal {
	key, ok := collisionKey(name)
	if !ok {
		return nil
	}
	for _, t := range topics {
		if other, _ := collisionKey(t.Name); other == key && t.Name != name {
			return collision(name, t.Name)
		}
	}
	return nil
}

// unknownTopic refuses what is asked of a topic that does not exist.
func unknownTopic(name string) *refusal {
	return refuse(kerr.UnknownTopicOrPartition, "there is no topic %q", name)
}

func collision(name, other string) *refusal {
	return refuse(kerr.InvalidTopicException, "topic name %q collides with topic %q: names must differ in more than '.' and '_'", name, other)
}
