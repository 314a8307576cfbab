package budget

import (
	"container/list"
	"net/netip"
)

// Crowd is those who hold places of which there are few, by the address that they are from. When
// one has to go, so that another can come, it is the oldest of the address that has the most: many
// from one address take no places from the others. It is not safe for concurrent use.
type Crowd[K comparable] struct {
	came   uint64
	from   map[netip.Addr]*list.List // of member[K], the oldest first
	places map[K]*list.Element
}

// member is one of a crowd and its place in the order in which all came.
type member[K comparable] struct {
	who  K
	from netip.Addr
	came uint64
}

// NewCrowd returns a crowd of nobody.
func NewCrowd[K comparable]() *Crowd[K] {
	return &Crowd[K]{from: map[netip.Addr]*list.List{}, places: map[K]*list.Element{}}
}

// Len is how many there are.
func (c *Crowd[K]) Len() int { return len(c.places) }

// Add adds one who is not there yet.
func (c *Crowd[K]) Add(who K, from netip.Addr) {
	of := c.from[from]
	if of == nil {
		of = list.New()
		c.from[from] = of
	}
	c.came++
	c.places[who] = of.PushBack(member[K]{who, from, c.came})
}

// Remove removes one, if it is there.
func (c *Crowd[K]) Remove(who K) {
	place, is := c.places[who]
	if !is {
		return
	}
	from := place.Value.(member[K]).from
	c.from[from].Remove(place)
	delete(c.places, who)
	if c.from[from].Len() == 0 {
		delete(c.from, from)
	}
}

// Pop removes the one that has to go; false if there is nobody.
func (c *Crowd[K]) Pop() (goes K, any bool) {
	var most int
	var oldest member[K]
	for _, of := range c.from {
		first := of.Front().Value.(member[K])
		if n := of.Len(); n > most || n == most && first.came < oldest.came {
			most, oldest = n, first
		}
	}
	c.Remove(oldest.who)
	return oldest.who, most > 0
}
