// Command firn is the one binary: it serves a bucket as a Kafka-compatible log, and is a client of
// such a server for the shell.
//
// This package holds flags, wiring and words for people; the packages that it wires together know
// nothing of it. Data goes to standard output and everything else to standard error; the exit
// status is 0, 1 (failed), 2 (called wrongly), 3 (another server has taken the bucket over) or 4 (a
// replay is complete but for records that cannot be read).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"firn.dev/coordinator"
	"firn.dev/replay"
)

func main() { os.Exit(mainStatus()) }

// mainStatus runs the command line that the process was started with.
func mainStatus() int {
	// A reader that goes away is an error of Write like any other, and not the death of the process:
	// see output.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // lives as long as the process: the first signal ends the command, the second the process
		<-signals
		cancel()
		<-signals
		os.Exit(statusFailed)
	}()
	return run(ctx, streams{In: os.Stdin, Out: output{os.Stdout}, Err: os.Stderr}, os.Args[1:])
}

// streams are what a command reads and writes.
type streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// errNobodyReads ends a command whose reader has seen enough (firn consume t | head). That is no
// failure.
var errNobodyReads = errors.New("nobody reads standard output any more")

// output is standard output, which may be a pipe whose reader goes away.
type output struct{ io.Writer }

func (o output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		err = errNobodyReads
	}
	return n, err
}

// terminal says whether progress may be drawn on standard error.
func (s streams) terminal() bool {
	f, ok := s.Err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// note writes one line for people.
func (s streams) note(format string, args ...any) { fmt.Fprintf(s.Err, format+"\n", args...) }

// Exit statuses: scripts rely on them.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
	// another server has taken the bucket over: a supervisor that starts this one again takes it back,
	// and so on
	statusFenced  = 3
	statusSkipped = 4 // a replay is complete, but for records that cannot be read
)

// run executes one command line and returns its exit status.
func run(ctx context.Context, s streams, args []string) int {
	root := newRoot(s)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil || errors.Is(err, errNobodyReads) {
		return statusOK
	}
	status, hint := statusFailed, ""
	if wrong := new(usageError); errors.As(err, &wrong) {
		status, hint = statusUsage, fmt.Sprintf(" (see '%s --help')", cmd.CommandPath())
	}
	switch {
	case errors.Is(err, replay.ErrSkipped):
		status = statusSkipped
	case errors.Is(err, coordinator.ErrFenced):
		status = statusFenced
	}
	for line := range strings.Lines(err.Error()) {
		s.note("%s: %s%s", cmd.CommandPath(), strings.TrimRight(line, "\n"), hint)
	}
	return status
}
