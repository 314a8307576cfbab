package main

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestNamespace has packets vanish between a namespace and the rest: in either direction a
// connection is not refused, it hangs; and afterwards it works.
func TestNamespace(t *testing.T) {
	if why := whyNoNetwork(); why != "" {
		t.Skipf("%s: partitions are made with silent proxies then", why)
	}
	n := newNetwork()
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	s, err := n.add()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", s.host(toRedis)+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("hello"))
			conn.Close()
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	call := func() (string, error) {
		args := s.command([]string{"timeout", "1", "bash", "-c", "cat </dev/tcp/" + host + "/" + port})
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		return string(out), err
	}
	for name, blocked := range map[string][2]bool{"both ways": {true, true}, "to": {true, false}, "from": {false, true}} {
		if out, err := call(); err != nil || out != "hello" {
			t.Fatalf("before: %q, %v", out, err)
		}
		if err := s.block(toRedis, blocked[0], blocked[1]); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var exit *exec.ExitError
		if out, err := call(); !errors.As(err, &exit) || exit.ExitCode() != 124 || out != "" {
			t.Errorf("%s: %q, %v after %v, should hang", name, out, err, time.Since(began))
		}
		if err := s.block(toRedis, false, false); err != nil {
			t.Fatal(err)
		}
		if out, err := call(); err != nil || !strings.HasPrefix(out, "hello") {
			t.Errorf("%s, after: %q, %v", name, out, err)
		}
	}
}
