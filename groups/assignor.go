package groups

import (
	"cmp"
	"slices"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// assignors are the ways in which a group of the new protocol can divide its partitions, by the names that members ask for them. They know nothing of racks.
var assignors = map[string]func([]*seat){"uniform": uniform, "range": ranges}

// defaultAssignor is for groups whose members do not ask for any.
const defaultAssignor = "uniform"

// seat is a member as assignors see it.
type seat struct {
	id, instance string
	topics       []*coordinator.Topic // that it is subscribed to, ordered by name
	had          []segments.Partition // that were meant for it before
	gets         []segments.Partition // the outcome
}

// ranges gives each member of a topic one run of neighbouring partitions, in the order of the members' instance ids and ids. So topics with equally many
// partitions and the same members are divided alike.
func ranges(seats []*seat) {
	seats = slices.Clone(seats)
	slices.SortFunc(seats, func(a, b *seat) int {
		if (a.instance == "") != (b.instance == "") {
			return cmp.Compare(b.instance, a.instance) // static members first
		}
		return cmp.Or(cmp.Compare(a.instance, b.instance), cmp.Compare(a.id, b.id))
	})
	for _, c := range classesOf(seats) {
		for _, t := range c.topics {
			n := int32(len(c.seats))
			next, each, more := int32(0), t.Partitions/n, t.Partitions%n
			for i, s := range c.seats {
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
	topics []*coordinator.Topic
	seats  []*seat
	held   [][]segments.Partition // by seat
}

// classesOf sorts topics by who is subscribed to them. The order of seats, and of topics among those of a class, stays.
func classesOf(seats []*seat) []*class {
	subscribers := map[*coordinator.Topic][]byte{} // a bit for each seat
	var topics []*coordinator.Topic
	for i, s := range seats {
		for _, t := range s.topics {
			bits := subscribers[t]
			if bits == nil {
				bits = make([]byte, (len(seats)+7)/8)
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
			for i, s := range seats {
				if bits[i/8]&(1<<(i%8)) != 0 {
					c.seats = append(c.seats, s)
				}
			}
			byBits[string(bits)] = c
			classes = append(classes, c)
		}
		c.topics = append(c.topics, t)
	}
	return classes
}

// uniform gives all members about equally many partitions, and lets them keep what they had as far as that allows: among members with the same subscriptions
// nobody has two partitions more than another, and no more partitions move than that takes. Where subscriptions differ, no single partition's move
// would make it more even.
func uniform(seats []*seat) {
	classes := classesOf(seats)
	slices.SortStableFunc(classes, func(a, b *class) int { return cmp.Compare(len(a.seats), len(b.seats)) }) // those with the fewest choices first
	had := map[segments.Partition]*seat{}
	for _, s := range seats {
		for _, p := range s.had {
			had[p] = s
		}
	}
	loads := map[*seat]int{}
	free := make([][]segments.Partition, len(classes))
	for i, c := range classes {
		free[i] = c.keep(had, loads)
	}
	for i, c := range classes {
		for _, p := range free[i] {
			_, least := c.extremes(loads)
			c.held[least] = append(c.held[least], p)
			loads[c.seats[least]]++
		}
	}
	for changed := true; changed; {
		changed = false
		for _, c := range classes {
			changed = c.level(loads) || changed
		}
	}
	for _, c := range classes {
		for i, s := range c.seats {
			s.gets = append(s.gets, c.held[i]...)
		}
	}
}

// keep gives every partition to whoever had it and is subscribed to it still, and returns the others.
func (c *class) keep(had map[segments.Partition]*seat, loads map[*seat]int) (free []segments.Partition) {
	index := make(map[*seat]int, len(c.seats))
	for i, s := range c.seats {
		index[s] = i
	}
	c.held = make([][]segments.Partition, len(c.seats))
	for _, t := range c.topics {
		for n := range t.Partitions {
			p := segments.Partition{Topic: t.ID, Index: n}
			if i, subscribed := index[had[p]]; subscribed {
				c.held[i] = append(c.held[i], p)
				loads[c.seats[i]]++
			} else {
				free = append(free, p)
			}
		}
	}
	return free
}

// extremes returns the seat with the most partitions in all among those that hold one of this class, -1 if none does, and the one with the fewest.
func (c *class) extremes(loads map[*seat]int) (most, least int) {
	most = -1
	for i, s := range c.seats {
		if len(c.held[i]) > 0 && (most < 0 || loads[s] >= loads[c.seats[most]]) {
			most = i
		}
		if loads[s] < loads[c.seats[least]] {
			least = i
		}
	}
	return most, least
}

// level moves partitions from who has the most to who has the fewest, while that makes it more even.
func (c *class) level(loads map[*seat]int) (moved bool) {
	for {
		most, least := c.extremes(loads)
		if most < 0 || loads[c.seats[most]]-loads[c.seats[least]] < 2 {
			return moved
		}
		last := len(c.held[most]) - 1
		c.held[least] = append(c.held[least], c.held[most][last])
		c.held[most] = c.held[most][:last]
		loads[c.seats[most]]--
		loads[c.seats[least]]++
		moved = true
	}
}
