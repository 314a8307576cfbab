package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// mutant is a rule that is broken.
type mutant struct {
	name string
	rule string // that it breaks
	file string
	old  string // is in the file once
	new  string
	by   []check // in the order in which they are tried; one of them has to fail
}

// result is the test that found a mutant, or why none did.
type result struct {
	by    check
	test  string // of the check
	seeds int    // simulations it took; 0 if it is no simulation
	took  time.Duration
	err   error
}

func (r result) String() string {
	switch {
	case r.err != nil:
		return fmt.Sprintf("NOT FOUND: %v", r.err)
	case r.seeds > 0:
		return fmt.Sprintf("%s %s, %d simulations, %.0f s", r.by.pkg, r.test, r.seeds, r.took.Seconds())
	}
	return fmt.Sprintf("%s %s, %.0f s", r.by.pkg, r.test, r.took.Seconds())
}

// lab is where mutants are built and tried.
type lab struct {
	root  string
	dir   string // of its own
	by    string // packages whose checks are tried; "": all
	trust bool

	mu      sync.Mutex        // one look at the code as it is at a time
	asItIs  map[string]string // binary of a package's tests, by package
	trusted map[string]error  // what came of a test on the code as it is
}

func newLab(root, by string, trust bool) (*lab, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	return &lab{root: root, dir: dir, by: by, trust: trust, asItIs: map[string]string{}, trusted: map[string]error{}}, nil
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

// try has the checks look for a mutant, one after another.
func (l *lab) try(m *mutant) result {
	dir, err := os.MkdirTemp(l.dir, m.name)
	if err != nil {
		return result{err: err}
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(l.root, dir)
	if err != nil {
		return result{err: err}
	}
	doubts := []error{errors.New("all of its checks pass")}
	for _, c := range m.by {
		if !named(l.by, c.pkg) {
			continue
		}
		binary, err := l.compile(c.pkg, dir, overlay)
		if err != nil {
			return result{err: err}
		}
		begun := time.Now()
		out, failed, err := c.execute(l.root, binary)
		if err != nil {
			return result{err: err}
		}
		if !failed {
			continue
		}
		r := result{by: c, test: failure(out), seeds: c.simulations(out), took: time.Since(begun)}
		if err := l.passesAsItIs(r); err != nil {
			doubts = append(doubts, err)
			continue
		}
		return r
	}
	return result{err: errors.Join(doubts...)}
}

// passesAsItIs runs the test that failed on the code as it is: what fails there has found no mutant.
func (l *lab) passesAsItIs(r result) error {
	if l.trust {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := r.by.only(r.test, r.seeds)
	key := fmt.Sprint(c.pkg, " ", c.run, " ", c.seeds)
	if err, known := l.trusted[key]; known {
		return err
	}
	err := l.passes(c)
	l.trusted[key] = err
	return err
}

func (l *lab) passes(c check) error {
	if l.asItIs[c.pkg] == "" {
		binary, err := l.compile(c.pkg, l.dir, "")
		if err != nil {
			return err
		}
		l.asItIs[c.pkg] = binary
	}
	out, failed, err := c.execute(l.root, l.asItIs[c.pkg])
	if err == nil && failed {
		err = fmt.Errorf("%s fails without a mutant as well: %s", c, out)
	}
	return err
}

// overlay writes the mutated copy, and what tells the go command of it.
func (m *mutant) overlay(root, dir string) (string, error) {
	path := filepath.Join(root, m.file)
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

// compile builds the tests of a package with the mutant in them, unless that was done for a check
// before.
func (l *lab) compile(pkg, dir, overlay string) (binary string, err error) {
	binary = filepath.Join(dir, strings.ReplaceAll(pkg, "/", "_")+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	args := []string{"test", "-c", "-ldflags=-w", "-o", binary}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = l.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %w: %s", err, out)
	}
	return binary, nil
}
