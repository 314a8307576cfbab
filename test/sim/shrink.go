package sim

import (
	"maps"
	"slices"
	"testing"
)

// Shrink makes a plan that leads to a violation smaller, as long as it still does: first it names
// the calls that suffer, instead of how many do, and then it leaves out strikes, faults of calls,
// clients and nodes. A plan may need several tries, because goroutines do not take turns in the
// same order each time.
func Shrink(t *testing.T, failed *Result, tries int) *Result {
	best := failed
	attempt := func(p *Plan) bool {
		for range tries {
			if r := Run(t, p, false); r.Violation != nil {
				best = r
				return true
			}
		}
		return false
	}
	exact := *failed.Plan
	exact.Exact = failed.Happened
	attempt(&exact)
	for again := true; again; {
		again = false
		for _, smaller := range smallerPlans {
			for p := range smaller(best.Plan) {
				if attempt(p) {
					again = true
					break
				}
			}
		}
	}
	return best
}

// smallerPlans are the ways in which a plan can be made smaller. The largest cuts come first.
var smallerPlans = []func(p *Plan) func(yield func(*Plan) bool){withoutStrikes, withoutFaults, withoutClients}

// cuts yields parts of a list that may be left out: halves, quarters, and so on down to single
// ones.
func cuts(n int, yield func(from, to int) bool) {
	for size := (n + 1) / 2; size > 0; size /= 2 {
		for from := 0; from < n; from += size {
			if !yield(from, min(from+size, n)) {
				return
			}
		}
	}
}

func withoutStrikes(p *Plan) func(yield func(*Plan) bool) {
	return func(yield func(*Plan) bool) {
		cuts(len(p.Strikes), func(from, to int) bool {
			smaller := *p
			smaller.Strikes = slices.Concat(p.Strikes[:from], p.Strikes[to:])
			return yield(&smaller)
		})
	}
}

func withoutFaults(p *Plan) func(yield func(*Plan) bool) {
	return func(yield func(*Plan) bool) {
		calls := slices.Sorted(maps.Keys(p.Exact))
		cuts(len(calls), func(from, to int) bool {
			smaller := *p
			smaller.Exact = maps.Clone(p.Exact)
			for _, c := range calls[from:to] {
				delete(smaller.Exact, c)
			}
			return yield(&smaller)
		})
	}
}

func withoutClients(p *Plan) func(yield func(*Plan) bool) {
	return func(yield func(*Plan) bool) {
		for _, change := range []func(*Plan) bool{
			func(p *Plan) bool { was := p.Long; p.Long = false; return was },
			func(p *Plan) bool { was := p.Admin; p.Admin = false; return was },
			func(p *Plan) bool { was := p.Cleanup; p.Cleanup = false; return was },
			func(p *Plan) bool { was := p.Retention; p.Retention = 0; return was > 0 },
			func(p *Plan) bool { was := p.Compact; p.Compact = false; return was },
			func(p *Plan) bool { p.Groups--; return p.Groups >= 0 },
			func(p *Plan) bool { p.Readers--; return p.Readers >= 0 },
			func(p *Plan) bool { p.Direct--; return p.Direct >= 0 },
			func(p *Plan) bool { p.Keyed--; return p.Keyed >= 0 },
			func(p *Plan) bool { p.Plain--; return p.Plain >= 0 },
			func(p *Plan) bool { p.Idempotent--; return p.Idempotent >= 0 },
			func(p *Plan) bool { p.Nodes--; return p.Nodes >= 1 },
		} {
			smaller := *p
			if change(&smaller) && !yield(&smaller) {
				return
			}
		}
	}
}
