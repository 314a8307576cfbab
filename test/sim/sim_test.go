package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	simSeeds   = flag.Int("sim.seeds", 40, "how many simulations TestSimulation runs")
	simFirst   = flag.Uint64("sim.first", 1, "the seed of its first")
	simSeconds = flag.Int("sim.seconds", 60, "for how long TestFreshSeeds runs simulations whose seeds the time gives")
	simTrace   = flag.Bool("sim.trace", false, "show all that happens in a simulation that fails")
	simShrink  = flag.Int("sim.shrink", 3, "make a plan that fails smaller, with so many tries for each step; 0: do not")
	simAll     = flag.Bool("sim.all", false, "go on after a violation")
	simRepeat  = flag.Int("sim.repeat", 10, "run a simulation that fails so many times more, and say how often it fails")
)

// TestMain gives the simulation one processor: so the order in which things happen at one moment
// depends on chance as little as it can.
func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

// TestSimulation runs simulations, a fixed set of them where nothing else is said.
func TestSimulation(t *testing.T) {
	simulate(t, *simFirst, func(done int) bool { return done < *simSeeds })
}

// TestFreshSeeds runs simulations that nobody has run before.
func TestFreshSeeds(t *testing.T) {
	begun := time.Now()
	simulate(t, uint64(begun.UnixMilli()), func(int) bool {
		return time.Since(begun) < time.Duration(*simSeconds)*time.Second
	})
}

// simulate runs simulations from a seed on, one after the other, until the first violation.
func simulate(t *testing.T, first uint64, on func(done int) bool) {
	begun := time.Now()
	sum := &Result{Faults: map[Fault]int{}, Strikes: map[StrikeKind]int{}}
	seeds, violations := 0, 0
	for ; on(seeds) && (violations == 0 || *simAll); seeds++ {
		r := Run(t, NewPlan(first+uint64(seeds)), *simTrace)
		sum.add(r)
		if r.Violation != nil {
			violations++
			report(t, r)
		}
	}
	t.Logf("%d seeds from %d on, %s of virtual time in %s: %s; violations: %d",
		seeds, first, sum.Virtual.Round(time.Second), time.Since(begun).Round(time.Millisecond), sum, violations)
}

// report says what went wrong, how often it does, and what of the plan it takes.
func report(t *testing.T, r *Result) {
	t.Errorf("%v\n%s\n%s", r.Violation, r.Plan, strings.Join(r.Trace, "\n"))
	again := 0
	for range *simRepeat {
		if Run(t, r.Plan, false).Violation != nil {
			again++
		}
	}
	if *simRepeat > 0 {
		t.Logf("the same seed, run %d times more, failed %d times", *simRepeat, again)
	}
	if *simShrink > 0 {
		small := Shrink(t, r, *simShrink)
		t.Logf("made smaller: %v\n%s", small.Violation, small.Plan)
	}
}

func (r *Result) add(o *Result) {
	r.Calls += o.Calls
	r.Openings += o.Openings
	r.Acknowledged += o.Acknowledged
	r.Served += o.Served
	r.Expired += o.Expired
	r.Compacted += o.Compacted
	r.Virtual += o.Virtual
	for f, n := range o.Faults {
		r.Faults[f] += n
	}
	for s, n := range o.Strikes {
		r.Strikes[s] += n
	}
}

func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d calls, %d incarnations opened, %d records acknowledged, %d served, %d expired, %d compacted "+
		"away; faults of calls:", r.Calls, r.Openings, r.Acknowledged, r.Served, r.Expired, r.Compacted)
	for _, f := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&b, " %d %s,", r.Faults[f], f)
	}
	b.WriteString(" strikes:")
	for _, s := range slices.Sorted(maps.Keys(r.Strikes)) {
		fmt.Fprintf(&b, " %d %s,", r.Strikes[s], s)
	}
	return b.String()
}
