package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a flag value like 8MiB, 512k or 1048576. Units are binary, whatever way they are
// written.
type byteSize int64

var byteUnits = []struct {
	suffix string
	shift  int
}{{"gib", 30}, {"gb", 30}, {"g", 30}, {"mib", 20}, {"mb", 20}, {"m", 20}, {"kib", 10}, {"kb", 10}, {"k", 10}, {"b", 0}}

func (b *byteSize) Set(text string) error {
	digits, shift := strings.ToLower(strings.TrimSpace(text)), 0
	for _, unit := range byteUnits {
		if rest, ok := strings.CutSuffix(digits, unit.suffix); ok {
			digits, shift = strings.TrimSpace(rest), unit.shift
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a number of bytes like 8MiB or 1048576", text)
	}
	*b = byteSize(n << shift)
	return nil
}

// String writes the size with the largest unit that divides it.
func (b *byteSize) String() string {
	n := int64(*b)
	for _, unit := range []struct {
		name  string
		shift int
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n != 0 && n&(1<<unit.shift-1) == 0 {
			return fmt.Sprintf("%d%s", n>>unit.shift, unit.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

func (*byteSize) Type() string { return "size" }
