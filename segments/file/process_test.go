package file_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firn.dev/segments"
	"firn.dev/segments/file"
)

const (
	racingKeys = 200
	racerDir   = "FIRN_TEST_RACER_DIR"
)

// TestMain lets the test binary be started again as a racer of TestTwoProcesses.
func TestMain(m *testing.M) {
	if dir := os.Getenv(racerDir); dir != "" {
		if err := race(dir, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// race puts one key for each line that it reads, and answers each with "won" or "lost". Its bytes
// are its process id.
func race(dir string, in io.Reader, out io.Writer) error {
	s, err := file.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer := "won"
		err := s.Put(context.Background(), lines.Text(), []byte(fmt.Sprint(os.Getpid())))
		if errors.Is(err, segments.ErrExists) {
			answer, err = "lost", nil
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return nil
}

// TestTwoProcesses has two processes race for each of many keys, in directories that both have to
// make. Exactly one wins each, with its bytes.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	racers := [2]*racer{startRacer(t, dir), startRacer(t, dir)}
	wins := [2]int{}
	s := open(t, dir)
	for i := range racingKeys {
		key := fmt.Sprintf("race/%d/%d", i/10, i)
		for _, r := range racers {
			if _, err := fmt.Fprintln(r.in, key); err != nil {
				t.Fatal(err)
			}
		}
		winner := -1
		for j, r := range racers {
			switch answer := r.answer(t); {
			case answer == "won" && winner >= 0:
				t.Fatalf("both won %s", key)
			case answer == "won":
				winner = j
			case answer != "lost":
				t.Fatalf("racer %d says %q", j, answer)
			}
		}
		if winner < 0 {
			t.Fatalf("nobody won %s", key)
		}
		wins[winner]++
		got, err := s.Get(t.Context(), key, 0, -1)
		if want := fmt.Sprint(racers[winner].cmd.Process.Pid); string(got) != want || err != nil {
			t.Errorf("%s holds %q, want %q; %v", key, got, want, err)
		}
	}
	for _, r := range racers {
		r.stop(t)
	}
	filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(name), "~") {
			t.Errorf("%s was left behind", name)
		}
		return err
	})
	t.Logf("wins: %v", wins)
}

type racer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startRacer(t *testing.T, dir string) *racer {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), racerDir+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &racer{cmd, in, bufio.NewScanner(out)}
}

func (r *racer) answer(t *testing.T) string {
	t.Helper()
	if !r.out.Scan() {
		t.Fatal("the racer is gone:", r.out.Err())
	}
	return r.out.Text()
}

func (r *racer) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(r.in.Close(), r.cmd.Wait()); err != nil {
		t.Error(err)
	}
}
