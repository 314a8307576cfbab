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
	simSeeds = flag.Int("sim.seeds", 50, "how many simulations to run")
	simFirst = flag.Uint64("sim.first", 1, "the seed of the first")
	simTrace = flag.Bool("sim.trace", false, "show all that happens in a simulation that fails")
	simSlow  = flag.Duration("sim.slow", 0, "tell of simulations that take longer")
	simAll   = flag.Bool("sim.all", false, "go on after a violation")
)

// TestMain gives the simulation one processor: so the order in which things happen at one moment depends on chance as little as it can.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

func TestSimulation(t *testing.T) {
	begun := time.Now()
	var sum Result
	sum.Faults, sum.Strikes = map[Fault]int{}, map[StrikeKind]int{}
	violations := 0
	for i := range uint64(*simSeeds) {
		start := time.Now()
		r := Run(t, NewPlan(*simFirst+i), *simTrace)
		sum.add(r)
		if *simSlow > 0 && time.Since(start) > *simSlow {
			t.Logf("%s: %s of virtual time, %d calls:\n%s", time.Since(start).Round(time.Millisecond), r.Virtual.Round(time.Second), r.Calls, r.Plan)
		}
		if r.Violation == nil {
			continue
		}
		violations++
		text := fmt.Sprintf("%v\n%s\n%s", r.Violation, r.Plan, strings.Join(r.Trace, "\n"))
		if !*simAll {
			t.Fatal(text)
		}
		t.Error(text)
	}
	t.Logf("%d seeds from %d on, %s of virtual time in %s: %s; violations: %d", *simSeeds, *simFirst, sum.Virtual.Round(time.Second), time.Since(begun).Round(time.Millisecond), &sum, violations)
}

func (r *Result) add(o *Result) {
	r.Calls += o.Calls
	r.Openings += o.Openings
	r.Acknowledged += o.Acknowledged
	r.Served += o.Served
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
	fmt.Fprintf(&b, "%d calls, %d incarnations opened, %d records acknowledged, %d served; faults of calls:", r.Calls, r.Openings, r.Acknowledged, r.Served)
	for _, f := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&b, " %d %s,", r.Faults[f], f)
	}
	b.WriteString(" strikes:")
	for _, s := range slices.Sorted(maps.Keys(r.Strikes)) {
		fmt.Fprintf(&b, " %d %s,", r.Strikes[s], s)
	}
	return b.String()
}
