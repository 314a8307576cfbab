package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"firn.dev/segments/stores"
)

// putRate is the flag value of --put-budget: object puts per second, of this node or of all
// together, none, or auto, which leaves it to the store.
type putRate struct {
	perSecond float64 // 0: no budget
	shared    bool    // by all nodes
	auto      bool
}

// ofCluster ends a budget that all nodes share.
const ofCluster = "/cluster"

// billedPuts is the budget for stores that charge for each put. It comes to 20 million a month at
// most.
const billedPuts = 8

func (r *putRate) Set(text string) error {
	switch text {
	case "auto":
		*r = putRate{auto: true}
		return nil
	case "none":
		*r = putRate{}
		return nil
	}
	number, shared := strings.CutSuffix(text, ofCluster)
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("%q is not auto, none, a number of puts per second, or one of all nodes together like 8%s", text,
			ofCluster)
	}
	*r = putRate{perSecond: n, shared: shared}
	return nil
}

func (r *putRate) String() string {
	switch {
	case r.auto:
		return "auto"
	case r.perSecond == 0:
		return "none"
	}
	text := strconv.FormatFloat(r.perSecond, 'g', -1, 64)
	if r.shared {
		text += ofCluster
	}
	return text
}

func (*putRate) Type() string { return "rate" }

// at is the budget for a bucket at a place.
func (r *putRate) at(p stores.Location) float64 {
	if r.auto && p.Billed() {
		return billedPuts
	}
	return r.perSecond
}

// byteRate is the flag value of --merge-rate: bytes per second, none, or auto.
type byteRate struct {
	perSecond byteSize // 0: none
	auto      bool
}

// autoMergeRate is more than a node takes in for long, three times over, and less than the stores
// that there are give.
const autoMergeRate = 64 << 20

func (r *byteRate) Set(text string) error {
	switch text {
	case "auto":
		*r = byteRate{auto: true}
		return nil
	case "none":
		*r = byteRate{}
		return nil
	}
	r.auto = false
	if err := r.perSecond.Set(text); err != nil {
		return fmt.Errorf("%q is not auto, none or a number of bytes per second like 8MiB", text)
	}
	return nil
}

func (r *byteRate) String() string {
	switch {
	case r.auto:
		return "auto"
	case r.perSecond == 0:
		return "none"
	}
	return r.perSecond.String()
}

func (*byteRate) Type() string { return "bytes" }

// check refuses a rate at which nothing gets done.
func (r *byteRate) check() error {
	if r.auto || r.perSecond == 0 {
		return nil
	}
	return within(int64(r.perSecond), 64<<10, math.MaxInt64)
}

// bytes is the rate; 0 is none.
func (r *byteRate) bytes() int64 {
	if r.auto {
		return autoMergeRate
	}
	return int64(r.perSecond)
}
