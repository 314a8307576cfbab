// Mutants breaks one rule of the protocol at a time in the real code, and sees which test finds it.
// The code has no hooks for this: a mutant is a few words of one file that are replaced, in a copy
// that `go test -overlay` builds in the place of the file.
//
//	go run ./test/mutants [-only name,…] [-by package,…] [-parallel n] [-trust] [-list]
//
// The checks of a mutant are tried in order, narrowest first, until one fails. The same test then
// has to pass on the code as it is, with the same simulations where it is one of seeds: otherwise
// it has found nothing. In the end a table says of each mutant what is broken, which test found it,
// after how many simulations, and how long that test took. The command fails if a mutant survives
// all of its checks, if one does not compile, or if its words are not in the file exactly once any
// more.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

func main() {
	only := flag.String("only", "", "try these mutants alone, separated by commas")
	by := flag.String("by", "", "try the checks of these packages alone, separated by commas")
	parallel := flag.Int("parallel", 2, "how many mutants to try at once")
	trust := flag.Bool("trust", false, "do not look whether what fails passes on the code as it is")
	list := flag.Bool("list", false, "say what there is, and do nothing")
	root := flag.String("root", ".", "the repository")
	flag.Parse()
	var asked []*mutant
	for i := range mutants {
		if m := &mutants[i]; named(*only, m.name) {
			asked = append(asked, m)
		}
	}
	if *list {
		for _, m := range asked {
			fmt.Printf("%-34s %s\n", m.name, m.rule)
		}
		return
	}
	l, err := newLab(*root, *by, *trust)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	results := l.tryAll(asked, *parallel)
	l.close()
	survived := printTable(asked, results)
	if survived > 0 {
		fmt.Fprintf(os.Stderr, "mutants: %d were not found: nothing would notice if that rule were gone\n", survived)
		os.Exit(1)
	}
}

// named says whether a name is in a list; an empty list has all.
func named(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// tryAll tries mutants, some at once, and prints each result when it is there.
func (l *lab) tryAll(asked []*mutant, parallel int) []result {
	results := make([]result, len(asked))
	var tasks sync.WaitGroup
	slots := make(chan struct{}, max(1, parallel))
	for i, m := range asked {
		slots <- struct{}{}
		tasks.Go(func() {
			defer func() { <-slots }()
			results[i] = l.try(m)
			fmt.Printf("%s: %s\n", m.name, results[i])
		})
	}
	tasks.Wait()
	return results
}

// printTable prints all results as a table, and says how many mutants were not found.
func printTable(asked []*mutant, results []result) (survived int) {
	fmt.Printf("\n| mutant | breaks the rule | found by | simulations | seconds |\n|---|---|---|---|---|\n")
	for i, m := range asked {
		r := results[i]
		if r.err != nil {
			survived++
			fmt.Printf("| %s | %s | **not found** | | |\n", m.name, m.rule)
			continue
		}
		seeds := ""
		if r.seeds > 0 {
			seeds = fmt.Sprint(r.seeds)
		}
		fmt.Printf("| %s | %s | %s %s | %s | %.0f |\n", m.name, m.rule, r.by.pkg, r.test, seeds, r.took.Seconds())
	}
	fmt.Printf("\n%d of %d mutants found\n", len(asked)-survived, len(asked))
	return survived
}
