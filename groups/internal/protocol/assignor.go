package protocol

import (
	"cmp"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// assignors are the ways in which a group of the new protocol can divide its partitions, by the
// names that members ask for them. They know nothing of racks.
var assignors = map[string]func([]*assignee){"uniform": uniform, "range": ranges}

// defaultAssignor is for groups whose members do not ask for any.
const defaultAssignor = "uniform"

// assignee is a member as assignors see it.
type assignee struct {
	id, instance string
	topics       []*coordinator.Topic // that it is subscribed to, ordered by name
	had          []segments.Partition // that were meant for it before
	gets         []segments.Partition // the outcome
}

// ranges gives each member of a topic one run of neighbouring partitions, in the order of the
// members' instance ids and ids. So topics with equally many partitions and the same members are
// divided alike.
func ranges(assignees []*assignee) {
	assignees = slices.Clone(assignees)
	slices.SortFunc(assignees, func(a, b *assignee) int {
		if (a.instance == "") != (b.instance == "") {
			return cmp.Compare(b.instance, a.instance) // static members first
		}
		return cmp.Or(cmp.Compare(a.instance, b.instance), cmp.Compare(a.id, b.id))
	})
	for _, c := range classesOf(assignees) {
		for _, t := range c.topics {
			n := int32(len(c.assignees))
			next, each, more := int32(0), t.Partitions/n, t.Partitions%n
			for i, s := range c.assignees {
				end := next + each
				if int32(i) < more {
					end++
				}
				for ; next < end; next++ {
					s.gets = append(s.gets, segments.Partition{Topic: t.ID, Index: next})
				}
			}
		}
	}
}

// class is topics whose subscribers are the same.
type class struct {
	topics    []*coordinator.Topic
	assignees []*assignee
	held      [][]segments.Partition // by assignee
}

// classesOf sorts topics by which members are subscribed to them. The order of assignees, and of
// topics among those of a class, stays.
func classesOf(assignees []*assignee) []*class {
	subscribers := map[*coordinator.Topic][]byte{} // a bit for each assignee
	var topics []*coordinator.Topic
	for i, s := range assignees {
		for _, t := range s.topics {
			bits := subscribers[t]
			if bits == nil {
				bits = make([]byte, (len(assignees)+7)/8)
				subscribers[t] = bits
				topics = append(topics, t)
			}
			bits[i/8] |= 1 << (i % 8)
		}
	}
	slices.SortFunc(topics, byName)
	byBits := map[string]*class{}
	var classes []*class
	for _, t := range topics {
		bits := subscribers[t]
		c := byBits[string(bits)]
		if c == nil {
			c = &class{}
			for i, s := range assignees {
				if bits[i/8]&(1<<(i%8)) != 0 {
					c.assignees = append(c.assignees, s)
				}
			}
			byBits[string(bits)] = c
			classes = append(classes, c)
		}
		c.topics = append(c.topics, t)
	}
	return classes
}

// uniform gives all members about equally many partitions, and lets them keep what they had as far
// as that allows: among members with the same subscriptions nobody has two partitions more than
// another, and no more partitions move than that takes. Where subscriptions differ, no single
// partition's move would make it more even.
func uniform(assignees []*assignee) {
	classes := classesOf(assignees)
	// those with the fewest choices first
	slices.SortStableFunc(classes, func(a, b *class) int { return cmp.Compare(len(a.assignees), len(b.assignees)) })
	had := map[segments.Partition]*assignee{}
	for _, s := range assignees {
		for _, at := range s.had {
			had[at] = s
		}
	}
	loads := map[*assignee]int{}
	free := make([][]segments.Partition, len(classes))
	for i, c := range classes {
		free[i] = c.keep(had, loads)
	}
	for i, c := range classes {
		for _, at := range free[i] {
			_, least := c.extremes(loads)
			c.held[least] = append(c.held[least], at)
			loads[c.assignees[least]]++
		}
	}
	for changed := true; changed; {
		changed = false
		for _, c := range classes {
			changed = c.level(loads) || changed
		}
	}
	for _, c := range classes {
		for i, s := range c.assignees {
			s.gets = append(s.gets, c.held[i]...)
		}
	}
}

// keep gives every partition to the member that had it, if it is still subscribed to it, and
// returns the others.
func (c *class) keep(had map[segments.Partition]*assignee, loads map[*assignee]int) (free []segments.Partition) {
	index := make(map[*assignee]int, len(c.assignees))
	for i, s := range c.assignees {
		index[s] = i
	}
	c.held = make([][]segments.Partition, len(c.assignees))
	for _, t := range c.topics {
		for n := range t.Partitions {
			at := segments.Partition{Topic: t.ID, Index: n}
			if i, subscribed := index[had[at]]; subscribed {
				c.held[i] = append(c.held[i], at)
				loads[c.assignees[i]]++
			} else {
				free = append(free, at)
			}
		}
	}
	return free
}

// extremes returns the assignee with the most partitions in all among those that hold one of this
// class, -1 if none does, and the one with the fewest.
func (c *class) extremes(loads map[*assignee]int) (most, least int) {
	most = -1
	for i, s := range c.assignees {
		if len(c.held[i]) > 0 && (most < 0 || loads[s] >= loads[c.assignees[most]]) {
			most = i
		}
		if loads[s] < loads[c.assignees[least]] {
			least = i
		}
	}
	return most, least
}

// level moves partitions from who has the most to who has the fewest, while that makes it more
// even.
func (c *class) level(loads map[*assignee]int) (moved bool) {
	for {
		most, least := c.extremes(loads)
		if most < 0 || loads[c.assignees[most]]-loads[c.assignees[least]] < 2 {
			return moved
		}
		last := len(c.held[most]) - 1
		c.held[least] = append(c.held[least], c.held[most][last])
		c.held[most] = c.held[most][:last]
		loads[c.assignees[most]]--
		loads[c.assignees[least]]++
		moved = true
	}
}
