package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
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

// check is a test that may find a mutant.
type check struct {
	pkg      string
	run      string
	args     []string
	seedFlag string // of a simulation: what says how many of them, from seed 0 on
	seeds    int
	most     time.Duration // budget; 5 minutes if 0
}

func (c check) String() string { return c.pkg + " " + strings.Trim(c.run, "^$") }

// only is the one test of a check that failed, up to the simulation that did.
func (c check) only(test string, seeds int) check {
	if name, _, _ := strings.Cut(test, "/"); strings.HasPrefix(name, "Test") {
		c.run = "^" + strings.TrimSuffix(name, hangs) + "$"
	}
	if seeds > 0 && c.seedFlag != "" {
		c.seeds = seeds
	}
	return c
}

// execute runs a check in the folder of its package, as go test does, and says whether it failed as
// a test does.
func (c check) execute(root, binary, mutant string) (out string, failed bool, err error) {
	most := cmp.Or(c.most, 5*time.Minute)
	ctx, cancel := context.WithTimeout(context.Background(), most+30*time.Second)
	defer cancel()
	dir := filepath.Join(root, c.pkg)
	args := append([]string{"-test.timeout", most.String(), "-test.failfast", "-test.run", c.run}, c.args...)
	if c.seedFlag != "" {
		args = append(args, fmt.Sprintf("%s=%d", c.seedFlag, c.seeds))
	}
	random, err := drawsRandomCases(dir)
	if err != nil {
		return "", false, err
	}
	if random {
		args = append(args, "-rapid.nofailfile") // a mutant's failure is no case to keep
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.WaitDelay, cmd.Env = dir, 10*time.Second, append(os.Environ(), variable+"="+mutant)
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

// drawsRandomCases says whether tests of a folder use rapid, which keeps cases that fail.
func drawsRandomCases(dir string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err == nil && len(files) == 0 {
		err = errors.New(dir + " has no tests")
	}
	return slices.ContainsFunc(files, func(name string) bool {
		text, e := os.ReadFile(name)
		err = errors.Join(err, e)
		return bytes.Contains(text, []byte(`"pgregory.net/rapid"`))
	}), err
}

var failing = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|panic: (.*)`)

var hanging = regexp.MustCompile(`panic: test timed out[^\n]*\n\s*running tests:\n\s*(\S+)`)

const hangs = " hangs"

// failure is the test that failed, the innermost that is named first.
func failure(out string) string {
	m := failing.FindStringSubmatch(out)
	if m == nil {
		return ""
	}
	if running := hanging.FindStringSubmatch(out); running != nil {
		return running[1] + hangs
	}
	return cmp.Or(m[1], m[2])
}

var seed = regexp.MustCompile(`seed (\d+)`)

// simulations says how many simulations a failing check made.
func (c check) simulations(out string) int {
	m := seed.FindStringSubmatch(out)
	if m == nil || c.seedFlag == "" {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n + 1
}
