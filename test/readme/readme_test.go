// Package readme runs the commands of README.md and docs/ as they stand, as a reader pastes them.
package readme

import (
	"context"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/test/process"
	"firn.dev/test/process/processtest"
)

// TestTour pastes the tour into interactive shells. An interactive zsh takes # for a command, and ?
// for a pattern that has to match a file, so what bash runs is not what every reader can run.
func TestTour(t *testing.T) {
	for name, shell := range map[string][]string{
		"bash": {"bash", "--noprofile", "--norc", "-i"},
		"zsh":  {"zsh", "-f", "-i"},
		"fish": {"fish", "--no-config", "-i"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(shell[0]); err != nil {
				t.Fatalf("this test needs %s: install it with `apt-get install %[1]s` or your system's equivalent", shell[0])
			}
			out := newReader(t).paste(t, shell, commands(t, "README.md", "## A tour"))
			for _, want := range []string{
				"created topic tour",
				`"partition":0,"offset":10,`,
				"partitions  3",
				"group        crew",
				"firn_store_requests_total{",
				"segment 01", // what firn inspect says first
			} {
				if !strings.Contains(out, want) {
					t.Errorf("the tour does not print %q:\n%s", want, out)
				}
			}
		})
	}
}

// TestWriting runs the commands about writing over HTTP: the last one repeats a request under its
// key, and gets its answer.
func TestWriting(t *testing.T) {
	script := commands(t, "docs/using/http.md", "## Writing")
	var answers []string
	for line := range strings.Lines(newReader(t).paste(t, []string{"bash"}, script)) {
		if strings.HasPrefix(line, "{") {
			answers = append(answers, line)
		}
	}
	if len(answers) != 5 || answers[3] != answers[4] || !strings.Contains(answers[4], `"offset":4,`) {
		t.Errorf("%q", answers)
	}
}

// TestCommandLine runs the commands of the page about the command line, on the topic of the tour.
func TestCommandLine(t *testing.T) {
	const begin = "export PATH=$PWD/bin:$PATH\nfirn topic create tour --partitions 3\n" +
		"firn produce tour --partition 0 < README.md\n" +
		"printf 'anna\\tsecond\n' | firn produce tour --key-separator '\\t'\n"
	script := strings.Join(slices.Collect(blocks(read(t, "docs/using/command-line.md"))), "")
	out := newReader(t).paste(t, []string{"bash"}, begin+script)
	for _, want := range []string{"anna second", "created profile prod", "nothing is set: --dry-run",
		"up                     1 of 1 nodes", "- group: crew"} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands do not print %q:\n%s", want, out)
		}
	}
}

// TestBlocksCanBePasted looks at the blocks that no test runs, because they need a bucket or a
// group: they have no comments and no unquoted patterns, which an interactive zsh does not take.
func TestBlocksCanBePasted(t *testing.T) {
	for _, page := range pages(t) {
		for block := range blocks(read(t, page)) {
			for line := range strings.Lines(quoted.ReplaceAllString(block, "''")) {
				if unpastable.MatchString(line) {
					t.Errorf("%s: an interactive zsh does not take this line: %s", page, line)
				}
			}
		}
	}
}

var (
	quoted     = regexp.MustCompile(`(?s)'[^']*'|"[^"]*"`)
	unpastable = regexp.MustCompile(`(^|\s)#|[?*\[]`)
)

// pages are README.md and what lies in docs/.
func pages(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := fs.Glob(os.DirFS("../.."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 10 {
		t.Fatalf("there are %d pages: the test looks at the wrong place", len(names))
	}
	return names
}

// reader is somebody who has built firn, serves with it, and has a shell in the repository.
type reader struct {
	dir    string
	server *process.Process
}

func newReader(t *testing.T) reader {
	t.Helper()
	dir := t.TempDir()
	bin, err := process.Build(t.Context(), filepath.Join(dir, "bin"), "firn.dev/cmd/firn")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"README.md": read(t, "README.md"),
		// An answer that is an error ends the script.
		".curlrc": "silent\nshow-error\nfail-with-body\nwrite-out = \"\\n\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	spec, err := process.NewSpec(process.Firn(bin), filepath.Join(dir, "firn-data"))
	if err != nil {
		t.Fatal(err)
	}
	return reader{dir, processtest.Start(t, spec)}
}

// paste runs a script from a shell's standard input, and returns what it prints. The first command
// that fails ends it, but in fish.
func (r reader) paste(t *testing.T, shell []string, script string) string {
	t.Helper()
	const end = "this was command 42" // as the shell prints it, and not as it is pasted
	script = strings.NewReplacer("127.0.0.1:9092", r.server.Kafka(), "127.0.0.1:8080", r.server.HTTP()).Replace(script)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell[0], shell[1:]...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "HOME="+r.dir, "CURL_HOME="+r.dir, "FIRN_BOOTSTRAP="+r.server.Kafka(),
		"FIRN_KAFKA_ADDR="+r.server.Kafka(), "FIRN_HTTP_ADDR="+r.server.HTTP(), "FIRN_HTTP_URL=http://"+r.server.HTTP(),
		"XDG_CONFIG_HOME="+r.dir, "GORACE=atexit_sleep_ms=10")
	failing := "set -e\n"
	if shell[0] == "fish" {
		failing = "" // it has no such thing
	}
	cmd.Stdin = strings.NewReader(failing + script + "echo this was command $(expr 41 + 1)\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), end) {
		t.Fatalf("%s: %v\n%s", strings.Join(shell, " "), err, out)
	}
	return string(out)
}

// commands are the shell commands in a section of a page, one block behind the other.
func commands(t *testing.T, page, heading string) string {
	t.Helper()
	_, section, found := strings.Cut(read(t, page), heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	script := strings.Join(slices.Collect(blocks(section)), "")
	if script == "" {
		t.Fatalf("%s, section %q, has no commands", page, heading)
	}
	return script
}

// blocks are the blocks of shell commands in a text.
func blocks(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, rest := range strings.Split(text, "```sh\n")[1:] {
			if block, _, _ := strings.Cut(rest, "```"); !yield(block) {
				return
			}
		}
	}
}

// read reads a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
