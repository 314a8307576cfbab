package protocol

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Catalog is which topics there are. It does not change: when topics do, there is another, of a
// higher version.
type Catalog struct {
	version uint64
	byName  map[string]*coordinator.Topic
	byID    map[segments.TopicID]*coordinator.Topic
	names   []string // ordered
}

// Next returns the catalog of these topics, which is this one if they are the same.
func (c *Catalog) Next(topics []*coordinator.Topic) *Catalog {
	if len(topics) == len(c.byID) && !slices.ContainsFunc(topics, func(t *coordinator.Topic) bool {
		known := c.byID[t.ID]
		return known == nil || known.Partitions != t.Partitions
	}) {
		return c
	}
	return NewCatalog(c.version+1, topics)
}

// NewCatalog returns the catalog of these topics.
func NewCatalog(version uint64, topics []*coordinator.Topic) *Catalog {
	c := &Catalog{version: version, byName: make(map[string]*coordinator.Topic, len(topics)),
		byID: make(map[segments.TopicID]*coordinator.Topic, len(topics))}
	for _, t := range topics {
		c.byName[t.Name], c.byID[t.ID] = t, t
		c.names = append(c.names, t.Name)
	}
	slices.Sort(c.names)
	return c
}

// maxRegexBytes bounds regular expressions: a short one can ask for a large automaton, by
// repeating.
const maxRegexBytes = 1 << 10

// match returns the names of the topics that a regular expression matches as a whole. Its syntax is
// RE2's, as KIP-848 says, which is Go's.
func (c *Catalog) match(expression string) ([]string, *kerr.Error) {
	refuse := func(why string) *kerr.Error {
		refused := *kerr.InvalidRegularExpression
		refused.Description = fmt.Sprintf("SubscribedTopicRegex is not valid: %s.", why)
		return &refused
	}
	if len(expression) > maxRegexBytes {
		return nil, refuse(fmt.Sprintf("it is %d bytes long, which is more than %d", len(expression), maxRegexBytes))
	}
	if _, err := regexp.Compile(expression); err != nil { // alone, so that it cannot end the group that it is put into
		return nil, refuse(err.Error())
	}
	whole, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	if err != nil {
		return nil, refuse(err.Error())
	}
	var names []string
	for _, name := range c.names {
		if whole.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// topics returns those topics that exist, in the order of their names, each once.
func (c *Catalog) topics(names ...[]string) []*coordinator.Topic {
	var all []*coordinator.Topic
	for _, some := range names {
		for _, name := range some {
			if t := c.byName[name]; t != nil {
				all = append(all, t)
			}
		}
	}
	slices.SortFunc(all, byName)
	return slices.Compact(all)
}

func byName(a, b *coordinator.Topic) int { return strings.Compare(a.Name, b.Name) }
