// Package linear judges the history of one partition with porcupine, a checker of linearizability
// that we did not write. Its model of a partition is a list of records: an append puts records
// behind the last one, a read shows records from an offset on.
//
// Whoever records a history gives each record of the partition an identity of its own. A request
// that is repeated until it is answered is one append, from its first try to its answer, if the
// server promises that it is written once; otherwise each try is an append of other records.
package linear

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Operation is one call of a client, and its answer. Operations whose times touch are concurrent.
type Operation struct {
	Client       int
	Call, Return int64 // by one clock for the whole history; Return means nothing for an append of unknown outcome
	Input        Input
	Output       Output
}

// Input is what a client asked for.
type Input struct {
	Append []string // identities of the records of an append, in their order; empty: a read
	Offset int64    // of a read: of its first record
}

// Output is what a client was answered.
type Output struct {
	Outcome Outcome  // of an append
	Offset  int64    // of an acknowledged append: of its first record
	Records []string // of a read: identities of the records from its offset on, without holes
}

// Outcome is what a client knows of its append.
type Outcome int

// Outcomes.
const (
	Unknown      Outcome = iota // it may have happened, or happen later
	Acknowledged                // it has happened
	Failed                      // it has not happened, and never will
)

// patience is how long one check may take.
const patience = 20 * time.Second

// Check says whether the history of a partition is one that a list of records could have. If not,
// the explanation names the operations that do not fit. It also says no when it cannot decide in
// time, and says so.
func Check(ops []Operation) (ok bool, explanation string) {
	checked := operations(placed(ops))
	switch porcupine.CheckOperationsTimeout(model, checked, patience) {
	case porcupine.Ok:
		return true, ""
	case porcupine.Unknown:
		return false, fmt.Sprintf("not decided: a history of %d operations takes longer than %s; make it shorter", len(ops),
			patience)
	}
	_, info := porcupine.CheckOperationsVerbose(model, checked, patience)
	return false, explain(checked, info)
}

// placed returns the operations that matter, and finds out from what was read where appends of
// unknown outcome went. An append that failed is left out: who reads its records reads what nobody
// wrote. So is one of unknown outcome of which nothing was seen, unless offsets are missing that it
// may have taken.
func placed(ops []Operation) []Operation {
	seen := map[string]int64{}
	for _, o := range ops {
		for i, r := range o.Output.Records {
			if _, again := seen[r]; !again {
				seen[r] = o.Input.Offset + int64(i)
			}
		}
	}
	var known, unseen []Operation
	for _, o := range ops {
		switch {
		case len(o.Input.Append) == 0 || o.Output.Outcome == Acknowledged:
			known = append(known, o)
		case o.Output.Outcome == Unknown:
			o.Return, o.Output.Offset = math.MaxInt64, -1
			for i, r := range o.Input.Append {
				if offset, found := seen[r]; found {
					o.Output.Offset = offset - int64(i)
					break
				}
			}
			if o.Output.Offset >= 0 {
				known = append(known, o)
			} else {
				unseen = append(unseen, o)
			}
		}
	}
	if dense(known) {
		return known
	}
	return append(known, unseen...)
}

// dense says whether the appends cover all offsets from 0 to the last one.
func dense(ops []Operation) bool {
	var appends []Operation
	for _, o := range ops {
		if len(o.Input.Append) > 0 {
			appends = append(appends, o)
		}
	}
	slices.SortFunc(appends, func(a, b Operation) int { return int(a.Output.Offset - b.Output.Offset) })
	end := int64(0)
	for _, o := range appends {
		if o.Output.Offset != end {
			return false
		}
		end += int64(len(o.Input.Append))
	}
	return true
}

func operations(ops []Operation) []porcupine.Operation {
	checked := make([]porcupine.Operation, len(ops))
	for i, o := range ops {
		checked[i] = porcupine.Operation{ClientId: o.Client, Call: o.Call, Return: max(o.Call, o.Return), Input: o.Input,
			Output: o.Output}
	}
	return checked
}

// partition is the state of the model. Its records are in a list that later states share.
type partition struct {
	end  int64
	hash uint64 // of all records
	last *appended
}

type appended struct {
	base    int64
	records []string
	before  *appended
}

var seed = maphash.MakeSeed()

var model = porcupine.Model{
	Init: func() any { return partition{} },
	Step: step,
	Equal: func(a, b any) bool {
		return a.(partition).end == b.(partition).end && a.(partition).hash == b.(partition).hash
	},
	Hash: func(s any) uint64 { return s.(partition).hash },
}

// step says whether an operation may happen next, and what it leads to. An append whose offset is
// not known may happen at any end, also behind everything else, where it disturbs nobody: that is
// the same as not to happen.
func step(state, input, output any) (bool, any) {
	s, in, out := state.(partition), input.(Input), output.(Output)
	if len(in.Append) == 0 {
		return s.shows(in.Offset, out.Records), s
	}
	if out.Offset >= 0 && out.Offset != s.end {
		return false, s
	}
	s.last = &appended{s.end, in.Append, s.last}
	s.end += int64(len(in.Append))
	for _, r := range in.Append {
		s.hash = maphash.Comparable(seed, struct {
			hash   uint64
			record string
		}{s.hash, r})
	}
	return true, s
}

// shows says whether these records lie at this offset.
func (s partition) shows(offset int64, records []string) bool {
	if offset+int64(len(records)) > s.end {
		return false
	}
	for a := s.last; a != nil && a.base+int64(len(a.records)) > offset; a = a.before {
		for i, r := range a.records {
			if n := a.base + int64(i) - offset; n >= 0 && n < int64(len(records)) && records[n] != r {
				return false
			}
		}
	}
	return true
}

// explain says how far the longest of the orders that porcupine found comes, and names the first
// operations that it leaves out.
func explain(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	longest, end := longestOrder(info), int64(0)
	for _, i := range longest {
		end += int64(len(ops[i].Input.(Input).Append))
	}
	return fmt.Sprintf("no list of records has this history: %d of %d operations can be put in order, "+
		"which fills the offsets below %d; then none of these can come next:%s",
		len(longest), len(ops), end, misfits(ops, info))
}

func longestOrder(info porcupine.LinearizationInfo) (longest []int) {
	for _, orders := range info.PartialLinearizations() {
		for _, order := range orders {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	return longest
}

// misfits names the first operations that the longest order leaves out.
func misfits(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	left := map[int]bool{}
	for i := range ops {
		left[i] = true
	}
	for _, i := range longestOrder(info) {
		delete(left, i)
	}
	var out []porcupine.Operation
	for i := range left {
		out = append(out, ops[i])
	}
	slices.SortFunc(out, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, o := range out[:min(len(out), 5)] {
		fmt.Fprintf(&b, "\n  %s", describe(o))
	}
	return b.String()
}

func describe(o porcupine.Operation) string {
	in, of := o.Input.(Input)
	if !of {
		return o.Input.(OffsetOperation).String()
	}
	return fmt.Sprintf("client %d, from %d to %d: %s", o.ClientId, o.Call, o.Return, told(in, o.Output.(Output)))
}

func told(in Input, out Output) string {
	switch {
	case len(in.Append) == 0:
		return fmt.Sprintf("read %d: %v", in.Offset, out.Records)
	case out.Outcome == Unknown && out.Offset < 0:
		return fmt.Sprintf("append %v: unknown, and never seen", in.Append)
	case out.Outcome == Unknown:
		return fmt.Sprintf("append %v: unknown, but seen at %d", in.Append, out.Offset)
	}
	return fmt.Sprintf("append %v: acknowledged at %d", in.Append, out.Offset)
}
