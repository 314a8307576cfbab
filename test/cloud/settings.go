package cloud

import (
	"fmt"
	"time"
)

// Settings are those of `make bench-cloud`.
func Settings() (all []Setting) {
	twoPuts := false // as with --carry-bytes 0
	add := func(s Setting) {
		if s.Name == "" {
			s.Name = load(s.Records)
		}
		if s.Carry = carried; twoPuts {
			s.Name, s.Carry = s.Name+", two puts", 0
		}
		if s.For == 0 {
			s.For = spanOf(s.Records)
		}
		if s.Records > 8<<10 {
			s.Warm = 3 * time.Second
			s.Producers = max(s.Producers, 8) // one client alone does not keep up
		}
		s.Seed = uint64(len(all) + 1)
		all = append(all, s)
	}
	for _, p := range []*Profile{&Standard, &Express, &BadDay} {
		for _, budget := range []float64{defaultBudget, 0} {
			for _, records := range []float64{1, 10, 100, 1 << 10, 32 << 10} {
				add(Setting{Profile: p, Records: records, Budget: budget})
			}
		}
	}
	for _, budget := range []float64{2, 4, 16, 32} {
		add(Setting{Records: 1 << 10, Budget: budget})
	}
	for _, records := range []float64{1 << 10, 32 << 10} { // for as many dollars as 8 on Standard
		add(Setting{Profile: &Express, Records: records, Budget: 35})
	}
	for _, producers := range []int{10, 100} {
		for _, records := range []float64{100, 1 << 10} {
			add(Setting{Records: records, Producers: producers, Budget: defaultBudget})
		}
	}
	for _, inFlight := range []int{1, 100} {
		add(Setting{Records: 1 << 10, InFlight: inFlight, Budget: defaultBudget})
	}
	for _, linger := range []time.Duration{50 * ms, 100 * ms} {
		add(Setting{Name: fmt.Sprintf("1 MiB/s, linger %v", linger), Records: 1 << 10, Linger: linger, Budget: defaultBudget})
	}
	for _, budget := range []float64{defaultBudget, 0} {
		for _, records := range []float64{10, 24 << 10} {
			add(Setting{Nodes: 3, Producers: 12, Records: records, Budget: budget})
		}
	}
	add(Setting{Name: "idle", Nodes: 3, Budget: defaultBudget, For: time.Hour})
	twoPuts = true
	for _, p := range []*Profile{&Standard, &Express, &BadDay} {
		for _, records := range []float64{1, 10, 100, 1 << 10, 32 << 10} {
			add(Setting{Profile: p, Records: records, Budget: defaultBudget})
		}
	}
	for _, records := range []float64{10, 1 << 10, 32 << 10} {
		add(Setting{Records: records})
	}
	add(Setting{Profile: &Express, Records: 32 << 10, Budget: 35})
	add(Setting{Nodes: 3, Producers: 12, Records: 24 << 10, Budget: defaultBudget})
	twoPuts = false
	add(Setting{Records: 32 << 10, InFlight: 100, Budget: defaultBudget})
	add(Setting{Name: "32 MiB/s, linger 50ms", Records: 32 << 10, Linger: 50 * ms, Budget: defaultBudget})
	for _, records := range []float64{10, 24 << 10} {
		add(Setting{Nodes: 3, Producers: 12, Records: records, Budget: defaultBudget, Shared: true})
	}
	return all
}

// spanOf is how long a load is measured: long enough for its percentiles, and bounded by memory.
func spanOf(records float64) time.Duration {
	switch {
	case records <= 1:
		return time.Hour
	case records <= 10:
		return 10 * time.Minute
	case records <= 100:
		return 2 * time.Minute
	case records <= 1<<10:
		return time.Minute
	}
	return time.Minute
}
