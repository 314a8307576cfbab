package budget

import (
	"cmp"
	"slices"
)

// park lets a request wait, behind the older ones. The caller holds mu, as for all that follows.
func (p *Pool) park(w *waiter) {
	at, _ := slices.BinarySearchFunc(p.waiting, w, func(a, b *waiter) int { return cmp.Compare(a.hold.age, b.hold.age) })
	p.waiting = slices.Insert(p.waiting, at, w)
	w.hold.client.address.parked += w.hold.taken
}

// unpark ends a request's waiting.
func (p *Pool) unpark(at int) *waiter {
	w := p.waiting[at]
	p.waiting = slices.Delete(p.waiting, at, at+1)
	w.hold.client.address.parked -= w.hold.taken
	return w
}

// serve gives those whose turn it is what they need while there is room, and has the youngest give
// up while those that wait hold too much.
func (p *Pool) serve() {
	for {
		at := p.turn()
		if at < 0 || !p.waiting[at].hold.fitsPool(p.waiting[at].need) {
			break
		}
		w := p.unpark(at)
		w.hold.take(w.need)
		w.told <- true
	}
	for at := len(p.waiting) - 1; at >= 0; at-- {
		h := p.waiting[at].hold
		if h.taken > 0 && h.client.address.parked > p.mostEach[large]/2 && p.olderWaits(at) {
			p.unpark(at).told <- false
		}
	}
}

// turn is the waiter whose turn it is, or -1: of those whose address has room in its share, a small
// one, then one of the address that holds least, then the oldest.
func (p *Pool) turn() int {
	best := -1
	for at, w := range p.waiting {
		if w.hold.fitsShare(w.need) && (best < 0 || before(w, p.waiting[best])) {
			best = at
		}
	}
	return best
}

// before says whether a waiter comes before an older one.
func before(w, older *waiter) bool {
	a, b := w.hold.classFor(w.need), older.hold.classFor(older.need)
	if a != b {
		return a == small
	}
	return w.hold.client.address.used[a] < older.hold.client.address.used[a]
}

// olderWaits says whether an older request of the same address waits as well.
func (p *Pool) olderWaits(at int) bool {
	same := p.waiting[at].hold.client.address
	return slices.ContainsFunc(p.waiting[:at], func(w *waiter) bool { return w.hold.client.address == same })
}
