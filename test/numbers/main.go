// Command numbers measures the house: how much of it is public, how wide and long its files are,
// what a reader and a program get with it. It prints one table, with a column for each tree that it
// is given, for instance a worktree of an older commit.
//
//	go run ./test/numbers [-firn bin/firn,…] [DIR…]
//
// The binaries, in the order of the trees, are started on empty directories.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"firn.dev/localstack"
)

// starts is how often a binary is started.
const starts = 21

// row is one number of the table, for each tree.
type row struct {
	name   string
	values []string
}

func main() {
	binaries := flag.String("firn", "", "binaries to start, one for each tree, separated by commas")
	flag.Parse()
	trees := flag.Args()
	if len(trees) == 0 {
		trees = []string{"."}
	}
	if err := run(trees, strings.FieldsFunc(*binaries, func(r rune) bool { return r == ',' })); err != nil {
		fmt.Fprintln(os.Stderr, "numbers:", err)
		os.Exit(1)
	}
}

func run(trees, binaries []string) error {
	if len(binaries) > len(trees) {
		return fmt.Errorf("there are %d binaries for %d trees: give one for each at most", len(binaries), len(trees))
	}
	var rows []row
	for i, dir := range trees {
		numbers, err := measure(dir)
		if err == nil && i < len(binaries) {
			numbers, err = measureBinary(numbers, binaries[i])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		for _, n := range numbers {
			at := slices.IndexFunc(rows, func(r row) bool { return r.name == n[0] })
			if at < 0 {
				at = len(rows)
				rows = append(rows, row{n[0], slices.Repeat([]string{"-"}, len(trees))})
			}
			rows[at].values[i] = n[1]
		}
	}
	packages := rows[slices.IndexFunc(rows, func(r row) bool { return strings.Contains(r.name, "`") }):]
	slices.SortFunc(packages, func(a, b row) int { return strings.Compare(a.name, b.name) })
	fmt.Printf("| | %s |\n|---|%s\n", strings.Join(trees, " | "), strings.Repeat("--:|", len(trees)))
	for _, r := range rows {
		fmt.Printf("| %s | %s |\n", r.name, strings.Join(r.values, " | "))
	}
	return nil
}

// measure returns names and numbers of a tree.
func measure(dir string) ([][2]string, error) {
	out, err := command(dir, "git", "ls-files", "*.go")
	if err != nil {
		return nil, err
	}
	files := strings.Fields(out)
	names, err := publicNames(dir, files)
	if err != nil {
		return nil, err
	}
	var widest, tooWide, longest, longestTest int
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		lines := strings.Split(string(text), "\n")
		if strings.HasSuffix(name, "_test.go") {
			longestTest = max(longestTest, len(lines)-1)
		} else {
			longest = max(longest, len(lines)-1)
		}
		for _, line := range lines {
			width := utf8.RuneCountInString(line)
			widest = max(widest, width)
			if width > widthOf(line) {
				tooWide++
			}
		}
	}
	words, err := wordsBeforeNumbers(filepath.Join(dir, "README.md"))
	if err != nil {
		return nil, err
	}
	direct, err := directDependencies(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	modules, err := command(dir, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}",
		"./ingest")
	if err != nil {
		return nil, err
	}
	with := strings.Fields(modules)
	slices.Sort(with)
	numbers := [][2]string{
		{"widest line of Go, in characters", fmt.Sprint(widest)},
		{"lines of Go wider than 120, comments than 100", fmt.Sprint(tooWide)},
		{"longest file of Go, in lines", fmt.Sprint(longest)},
		{"longest file of tests, in lines", fmt.Sprint(longestTest)},
		{"words of the README before its first measured number", fmt.Sprint(words)},
		{"direct dependencies of the root module", fmt.Sprint(direct)},
		{"modules that come with a program which imports ingest", fmt.Sprint(len(slices.Compact(with)))},
	}
	return append(numbers, names...), nil
}

// widthOf is how wide a line of Go may be.
func widthOf(line string) int {
	if strings.HasPrefix(strings.TrimSpace(line), "//") && !strings.HasPrefix(line, "//go:") {
		return 100
	}
	return 120
}

// wordsBeforeNumbers counts the words of a page before the first column of numbers, which is one
// that is aligned right; all if there is none.
func wordsBeforeNumbers(name string) (int, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	before, _, _ := bytes.Cut(text, []byte("--:|"))
	return len(bytes.Fields(before)), nil
}

func directDependencies(name string) (n int, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(line, "require ")
		if strings.Contains(line, " v") && !strings.Contains(line, "// indirect") {
			n++
		}
	}
	return n, nil
}

// measureBinary adds the size of a binary, and how long it takes until it answers a Kafka client.
func measureBinary(numbers [][2]string, firn string) ([][2]string, error) {
	info, err := os.Stat(firn)
	if err != nil {
		return nil, err
	}
	best := time.Hour // of several: what else the machine does makes none faster
	for range starts {
		took, err := start(firn)
		if err != nil {
			return nil, err
		}
		best = min(best, took)
	}
	return append([][2]string{
		{"binary, in MB", fmt.Sprintf("%.1f", float64(info.Size())/1e6)},
		{"start on an empty directory, in ms", fmt.Sprint(best.Milliseconds())},
	}, numbers...), nil
}

// start runs a server on an empty directory until it answers.
func start(firn string) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "numbers")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	addr, err := localstack.FreeAddr()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, firn, "serve", "--store", "file://"+dir, "--kafka-addr", addr, "--http-addr", "none")
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err = untilAnswered(ctx, addr)
	took := time.Since(began)
	cancel()
	_ = cmd.Wait() // it was killed
	return took, err
}

// apiVersions is a request of that name, in version 0, from a client without a name.
var apiVersions = []byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}

// untilAnswered asks a server until it answers.
func untilAnswered(ctx context.Context, addr string) error {
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		if _, err = c.Write(apiVersions); err == nil {
			_, err = io.ReadFull(c, make([]byte, 4))
		}
		c.Close() //nolint:errcheck // it was read from
		if err == nil {
			return nil
		}
	}
	return ctx.Err()
}

func command(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return string(out), nil
}
