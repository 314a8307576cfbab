package linear

import (
	"fmt"
	"math"

	"github.com/anishathalye/porcupine"
)

// OffsetOperation is one call about the offset that a consumer group has committed for a
// partition: a commit, or a fetch of what is committed. Each commit of a history is of another
// offset.
type OffsetOperation struct {
	Who          string
	Call, Return int64 // as of an Operation
	Commit       bool
	Outcome      Outcome // of a commit
	Offset       int64   // that was committed; of a fetch: that it was told
}

func (o OffsetOperation) String() string {
	what := "is told that %d is committed"
	switch {
	case o.Commit && o.Outcome == Unknown:
		what = "commits %d, and does not know whether it did"
	case o.Commit:
		what = "commits %d"
	}
	return fmt.Sprintf("%s, from %d to %d, "+what, o.Who, o.Call, o.Return, o.Offset)
}

// CheckOffsets says whether the history of one committed offset is one that a register could have.
// What it holds at the beginning is not known: it may be whatever first says of.
func CheckOffsets(ops []OffsetOperation, first func(offset int64) bool) (ok bool, explanation string) {
	var checked []porcupine.Operation
	for _, o := range ops {
		if o.Commit && o.Outcome == Failed {
			continue
		}
		end := max(o.Call, o.Return)
		if o.Commit && o.Outcome == Unknown {
			end = math.MaxInt64
		}
		checked = append(checked, porcupine.Operation{Call: o.Call, Return: end, Input: o, Output: o})
	}
	register := porcupine.Model{
		Init: func() any { return unknownOffset },
		Step: func(state, input, _ any) (bool, any) {
			held, o := state.(int64), input.(OffsetOperation)
			return o.Commit || held == o.Offset || held == unknownOffset && first(o.Offset), o.Offset
		},
	}
	switch porcupine.CheckOperationsTimeout(register, checked, patience) {
	case porcupine.Ok:
		return true, ""
	case porcupine.Unknown:
		return false, fmt.Sprintf("not decided: a history of %d operations takes longer than %s; make it shorter",
			len(ops), patience)
	}
	_, info := porcupine.CheckOperationsVerbose(register, checked, patience)
	return false, "no offset has this history: none of these can come next:" + misfits(checked, info)
}

// unknownOffset is what a register holds before anything is known of it.
const unknownOffset int64 = math.MinInt64
