package explore

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

// Flags of the tests that search models.
var (
	Long   = flag.Bool("model.long", false, "search the configurations that take minutes as well")
	Limit  = flag.Int("model.states", 60_000_000, "give a configuration up after so many states")
	chosen = flag.String("model.only", "", "search these configurations alone, separated by commas")
)

// Chosen returns the configurations that the flags choose: the short ones, the long ones as well
// with -model.long, or those that -model.only names. named returns a configuration by its name, nil
// if there is none.
func Chosen[C any](short, long []*C, named func(string) *C) (configs []*C, err error) {
	switch {
	case *chosen != "":
		for name := range strings.SplitSeq(*chosen, ",") {
			cfg := named(name)
			if cfg == nil {
				return nil, fmt.Errorf("there is no configuration %q", name)
			}
			configs = append(configs, cfg)
		}
		return configs, nil
	case *Long:
		return slices.Concat(short, long), nil
	}
	return short, nil
}
