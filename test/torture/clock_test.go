package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestClock sets the clock of a program while it runs, and back. Its monotonic clock does not jump.
func TestClock(t *testing.T) {
	dir := t.TempDir()
	bin, err := buildWithClock(t.Context(), dir, "firn.dev/test/torture/testdata/clock")
	if err != nil {
		t.Fatal(err)
	}
	m := &member{clock: filepath.Join(dir, "clock-1")}
	if err := m.setClock(0); err != nil {
		t.Fatal(err)
	}
	program := exec.CommandContext(t.Context(), bin)
	program.Env = []string{clockVariable + "=" + m.clock}
	ask, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(out)
	for _, ahead := range []time.Duration{0, clockAhead, 0} {
		if err := m.setClock(ahead); err != nil {
			t.Fatal(err)
		}
		for late := time.Now().Add(patience); ; {
			if _, err := io.WriteString(ask, "\n"); err != nil {
				t.Fatal(err)
			}
			var unix, since int64
			if _, err := fmt.Fscanln(answers, &unix, &since); err != nil {
				t.Fatal(err)
			}
			if since > int64(2*patience.Seconds()) {
				t.Fatalf("the monotonic clock says that %d s have passed", since)
			}
			if wrong := time.Until(time.Unix(unix, 0)) - ahead; wrong.Abs() < time.Minute {
				break
			} else if time.Now().After(late) {
				t.Fatalf("the clock is %v off from %v ahead", wrong, ahead)
			}
		}
	}
	ask.Close()
	if err := program.Wait(); err != nil {
		t.Fatal(err)
	}
}
