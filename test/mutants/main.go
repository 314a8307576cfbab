// Mutants breaks one rule of the protocol at a time in the real code, and sees which test finds it.
// The code has no hooks for this: a mutant is a few words of one file that are replaced, in a copy
// that `go test -overlay` builds in the place of the file.
//
//	go run ./test/mutants [-only name,…] [-trust] [-list]
//
// It prints a line for each mutant: what is broken, which check found it, after how many
// simulations where the check is one of seeds, and how long it took. It fails if a mutant survives
// all of its checks, if one does not compile, or if its words are not in the file exactly once any
// more.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "try these mutants alone, separated by commas")
	trust := flag.Bool("trust", false, "do not look first whether the checks pass on the code as it is")
	list := flag.Bool("list", false, "say what there is, and do nothing")
	root := flag.String("root", ".", "the repository")
	flag.Parse()
	survived := 0
	if !*list && !*trust {
		if err := asItIs(*root, *only); err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(1)
		}
	}
	for i := range mutants {
		m := &mutants[i]
		if !m.asked(*only) {
			continue
		}
		if *list {
			fmt.Printf("%-34s %s\n", m.name, m.rule)
			continue
		}
		found, err := try(*root, m)
		fmt.Println(line(m, found, err))
		if err != nil {
			survived++
		}
	}
	if survived > 0 {
		fmt.Fprintf(os.Stderr, "mutants: %d were not found: nothing would notice if that rule were gone\n", survived)
		os.Exit(1)
	}
}

// mutant is a rule that is broken.
type mutant struct {
	name string
	rule string // that it breaks
	file string
	old  string // is in the file once
	new  string
	by   []check // in the order in which they are tried; one of them has to fail
}

// asked says whether a mutant is among those that are to be tried.
func (m *mutant) asked(only string) bool {
	return only == "" || slices.Contains(strings.Split(only, ","), m.name)
}

// check is a test that may find a mutant.
type check struct {
	pkg  string
	run  string
	args []string
	most time.Duration // budget; 2 minutes if 0
}

func (c check) String() string { return c.pkg + " " + strings.Trim(c.run, "^$") }

// finding is the check that found a mutant.
type finding struct {
	by    check
	test  string // of the check
	seeds int    // simulations it took; 0 if it is no simulation
	took  time.Duration
}

func line(m *mutant, f finding, err error) string {
	if err != nil {
		return fmt.Sprintf("%-34s %-70s NOT FOUND: %v", m.name, m.rule, err)
	}
	seeds := ""
	if f.seeds > 0 {
		seeds = fmt.Sprintf(", seed %d", f.seeds)
	}
	return fmt.Sprintf("%-34s %-70s %s %s%s, %.0f s", m.name, m.rule, f.by.pkg, f.test, seeds, f.took.Seconds())
}

// asItIs has all checks look at the code as it is: what fails then has found no mutant.
func asItIs(root, only string) error {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	none := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(none, []byte("{}"), 0o644); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range mutants {
		for _, c := range mutants[i].by {
			if !mutants[i].asked(only) || seen[c.String()] {
				continue
			}
			seen[c.String()] = true
			binary, err := c.compile(root, dir, none)
			if err != nil {
				return err
			}
			begun := time.Now()
			out, failed, err := c.test(root, binary)
			if err != nil {
				return err
			}
			if failed {
				return fmt.Errorf("%s fails without a mutant: %s", c, out)
			}
			fmt.Printf("%s passes on the code as it is, %.0f s\n", c, time.Since(begun).Seconds())
		}
	}
	return nil
}

// try has the checks look for a mutant, one after another.
func try(root string, m *mutant) (finding, error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return finding{}, err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return finding{}, err
	}
	for _, c := range m.by {
		binary, err := c.compile(root, dir, overlay)
		if err != nil {
			return finding{}, err
		}
		begun := time.Now()
		out, failed, err := c.test(root, binary)
		if err != nil {
			return finding{}, err
		}
		if failed {
			return finding{c, failure(out), seeds(out), time.Since(begun)}, nil
		}
	}
	return finding{}, errors.New("all of its checks pass")
}

// overlay writes the mutated copy, and what tells the go command of it.
func (m *mutant) overlay(root, dir string) (string, error) {
	path, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	text, err := m.mutate(path)
	if err != nil {
		return "", err
	}
	copied := filepath.Join(dir, filepath.Base(m.file))
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{path: copied}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, errors.Join(os.WriteFile(copied, []byte(text), 0o644), os.WriteFile(overlay, b, 0o644))
}

// mutate returns the mutated file.
func (m *mutant) mutate(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(b), m.old); n != 1 {
		return "", fmt.Errorf("%s has the words that the mutant replaces %d times, not once: "+
			"bring the table up to date", m.file, n)
	}
	return strings.Replace(string(b), m.old, m.new, 1), nil
}

// compile builds the tests of a check's package with the mutant in them, unless that was done for a
// check before.
func (c check) compile(root, dir, overlay string) (binary string, err error) {
	binary = filepath.Join(dir, strings.ReplaceAll(c.pkg, "/", "_")+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	cmd := exec.Command("go", "test", "-c", "-ldflags=-w", "-overlay", overlay, "-o", binary, c.pkg)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %w: %s", err, out)
	}
	return binary, nil
}

// test runs a check in the folder of its package, as go test does, and says whether it failed as a
// test does.
func (c check) test(root, binary string) (out string, failed bool, err error) {
	most := cmp.Or(c.most, 2*time.Minute)
	ctx, cancel := context.WithTimeout(context.Background(), most+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"-test.timeout", most.String(), "-test.run", c.run}, c.args...)...)
	cmd.Dir, cmd.WaitDelay = filepath.Join(root, c.pkg), 10*time.Second
	b, err := cmd.CombinedOutput()
	out = string(b)
	switch {
	case err == nil && strings.Contains(out, "no tests to run"):
		return out, false, fmt.Errorf("%s: there is no such test", c)
	case err == nil:
		return out, false, nil
	case strings.Contains(out, "--- FAIL"), strings.Contains(out, "panic:"):
		return out, true, nil
	}
	return out, false, fmt.Errorf("%s: %w: %s", c, err, out)
}

var failing = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|panic: (.*)`)

var hanging = regexp.MustCompile(`panic: test timed out[^\n]*\n\s*running tests:\n\s*(\S+)`)

// failure is the test that failed, the innermost that is named first.
func failure(out string) string {
	m := failing.FindStringSubmatch(out)
	if m == nil {
		return ""
	}
	if running := hanging.FindStringSubmatch(out); running != nil {
		return running[1] + " hangs"
	}
	return cmp.Or(m[1], m[2])
}

var seed = regexp.MustCompile(`seed (\d+)`)

// seeds says how many simulations a failing check made.
func seeds(out string) int {
	m := seed.FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n + 1
}
