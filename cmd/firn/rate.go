package main

import (
	"fmt"
	"math"
	"strconv"
)

// putRate is the flag value of --put-budget: object puts per second, none, or auto, which leaves it to the store.
type putRate struct {
	perSecond float64 // 0: no budget
	auto      bool
}

// billedPuts is the budget for stores that charge for each put. It comes to 20 million a month at most.
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
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("%q is not auto, none or a number of puts per second", text)
	}
	*r = putRate{perSecond: n}
	return nil
}

func (r *putRate) String() string {
	switch {
	case r.auto:
		return "auto"
	case r.perSecond == 0:
		return "none"
	}
	return strconv.FormatFloat(r.perSecond, 'g', -1, 64)
}

func (*putRate) Type() string { return "rate" }

// at is the budget for a bucket at a place.
func (r *putRate) at(p storePlace) float64 {
	if r.auto && p.billed() {
		return billedPuts
	}
	return r.perSecond
}
