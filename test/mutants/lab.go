package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

	mu       sync.Mutex        // one build, or look at the code as it is, at a time
	overlay  map[string]string // files that stand in for others, by what they stand in for
	binaries map[string]string // of tests that are built
	trusted  map[string]error  // what came of a test on the code as it is
}

func newLab(root, by string, trust bool) (*lab, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	texts, err := weave(root, mutants)
	if err != nil {
		return nil, err
	}
	l := &lab{root: root, by: by, trust: trust,
		overlay: map[string]string{}, binaries: map[string]string{}, trusted: map[string]error{}}
	if l.dir, err = os.MkdirTemp("", "mutants"); err != nil {
		return nil, err
	}
	for name, text := range texts {
		if err := l.standIn(l.overlay, name, text); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

// standIn has a text stand in for a file of the repository.
func (l *lab) standIn(overlay map[string]string, name, text string) error {
	copied, err := os.CreateTemp(l.dir, "*-"+filepath.Base(name))
	if err != nil {
		return err
	}
	overlay[filepath.Join(l.root, name)] = copied.Name()
	_, err = copied.WriteString(text)
	return errors.Join(err, copied.Close())
}

// try has the checks look for a mutant, one after another.
func (l *lab) try(m *mutant) result {
	doubts := []error{errors.New("all of its checks pass")}
	for _, c := range m.by {
		if !named(l.by, c.pkg) {
			continue
		}
		binary, err := l.compile(c.pkg, m)
		if err != nil {
			return result{err: err}
		}
		begun := time.Now()
		out, failed, err := c.execute(l.root, binary, m.name)
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

// passesAsItIs runs the test that failed on the code as it is: what fails there has found no
// mutant.
func (l *lab) passesAsItIs(r result) error {
	if l.trust {
		return nil
	}
	c := r.by.only(r.test, r.seeds)
	binary, err := l.compile(c.pkg, nil)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprint(c.pkg, " ", c.run, " ", c.seeds)
	if err, known := l.trusted[key]; known {
		return err
	}
	out, failed, err := c.execute(l.root, binary, "none")
	if err == nil && failed {
		err = fmt.Errorf("%s fails without a mutant as well: %s", c, out)
	}
	l.trusted[key] = err
	return err
}

// compile builds the tests of a package. All mutants of Go code are in them; a mutant of anything
// else needs a build of its own.
func (l *lab) compile(pkg string, m *mutant) (binary string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, overlay := pkg, l.overlay
	if m != nil && !strings.HasSuffix(m.file, ".go") {
		key, overlay = pkg+"+"+m.name, maps.Clone(l.overlay)
		text, err := m.mutate(filepath.Join(l.root, m.file))
		if err != nil {
			return "", err
		}
		if err := l.standIn(overlay, m.file, text); err != nil {
			return "", err
		}
	}
	if l.binaries[key] != "" {
		return l.binaries[key], nil
	}
	b, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	binary = filepath.Join(l.dir, strings.ReplaceAll(key, "/", "_")+".test")
	if err := os.WriteFile(binary+".json", b, 0o644); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "test", "-c", "-ldflags=-w", "-overlay", binary+".json", "-o", binary, pkg)
	cmd.Dir = l.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s does not compile: %w: %s", pkg, err, out)
	}
	l.binaries[key] = binary
	return binary, nil
}

// mutate returns the mutated file.
func (m *mutant) mutate(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if _, err := m.find(string(b)); err != nil {
		return "", err
	}
	return strings.Replace(string(b), m.old, m.new, 1), nil
}

// find returns where the words that are replaced begin in the text of the file.
func (m *mutant) find(text string) (int, error) {
	if n := strings.Count(text, m.old); n != 1 {
		return 0, fmt.Errorf("%s has the words that the mutant replaces %d times, not once: "+
			"bring the table up to date", m.file, n)
	}
	return strings.Index(text, m.old), nil
}
