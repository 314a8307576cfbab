package sim

import "time"

// dice decides by a hash of the seed, of where, and of what for: so one decision depends on no
// other.
type dice struct {
	seed  uint64
	where string
}

func (d dice) roll(what string) uint64 {
	h := uint64(14695981039346656037) ^ d.seed*0x9e3779b97f4a7c15
	for _, s := range [2]string{d.where, what} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	// What splitmix64 ends with, so that all bits depend on all.
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// float is in [0, 1).
func (d dice) float(what string) float64 { return float64(d.roll(what)>>11) / (1 << 53) }

// n is in [0, n).
func (d dice) n(what string, n int) int { return int(d.roll(what) % uint64(n)) }

func (d dice) chance(what string, of float64) bool { return d.float(what) < of }

func (d dice) pick(what string, from ...float64) float64 { return from[d.n(what, len(from))] }

func (d dice) between(what string, from, to time.Duration) time.Duration {
	return from + time.Duration(d.float(what)*float64(to-from))
}
