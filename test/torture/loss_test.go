package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// command is a command as it is sent to Redis.
func command(args ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return []byte(b.String())
}

func hashOfScript(t *testing.T, name string) string {
	t.Helper()
	for hash, known := range scriptNames {
		if known == name {
			return hash
		}
	}
	t.Fatalf("no script is called %s", name)
	return ""
}

func TestCallOf(t *testing.T) {
	prelude, err := os.ReadFile("../../coordinator/redis/lua/prelude.lua")
	if err != nil {
		t.Fatal(err)
	}
	commit, err := os.ReadFile("../../coordinator/redis/lua/commit.lua")
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(commit), "\n")
	for name, test := range map[string]struct {
		request []byte
		want    string
	}{
		"a script by its hash":   {command("evalsha", hashOfScript(t, "commit"), "1", "key", "argument"), "commit"},
		"a script by its source": {command("EVAL", head+"\n"+string(prelude)+body, "1", "key"), "commit"},
		"a strange script":       {command("evalsha", strings.Repeat("0", 40), "0"), ""},
		"a command":              {command("XREAD", "COUNT", "1"), "xread"},
		"a command without more": {command("PING"), "ping"},
		"half a request":         {[]byte("*3\r\n$7\r\nevalsha\r\n$40\r\nabc"), ""},
		"the rest of a request":  {[]byte("and so on\r\n"), ""},
		"nothing":                {nil, ""},
		"a length that lies":     {[]byte("*1\r\n$-5\r\nx\r\n"), ""},
	} {
		if got := callOf(test.request); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// echo is a Redis that answers each line that it reads with what answer says.
func echo(t *testing.T, answer func(line string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if a := answer(lines.Text()); a != "" {
						fmt.Fprint(conn, a)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestLostReply loses exactly one reply of a call, of two gates that wait for it, and not one which
// says that the script was not there.
func TestLostReply(t *testing.T) {
	hash := hashOfScript(t, "open")
	var calls atomic.Int64
	server := echo(t, func(line string) string {
		if line != "key" {
			return ""
		}
		if calls.Add(1) == 1 {
			return "-NOSCRIPT No matching script.\r\n"
		}
		return "+OK\r\n"
	})
	l := newLoss("open")
	var gates []*gate
	for range 2 {
		g, err := newGate("127.0.0.1", server)
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		g.lose(l)
		gates = append(gates, g)
	}
	ask := func(g *gate) string {
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(command("evalsha", hash, "1", "key"))
		answer, _ := bufio.NewReader(conn).ReadString('\n')
		return answer
	}
	if got := ask(gates[0]); !strings.HasPrefix(got, "-NOSCRIPT") || l.happened() {
		t.Errorf("the reply that nothing was done: %q, lost: %v", got, l.happened())
	}
	if got := ask(gates[1]); got != "" || !l.happened() {
		t.Errorf("the reply that is to be lost: %q, lost: %v", got, l.happened())
	}
	for _, g := range gates {
		if got := ask(g); got != "+OK\r\n" {
			t.Errorf("a reply after it: %q", got)
		}
	}
	if n := calls.Load(); n != 4 {
		t.Errorf("the server was called %d times", n)
	}
	if other := newLoss("commit"); other.withdraw() || other.claim(command("evalsha", hashOfScript(t, "commit"))) {
		t.Error("what was withdrawn is lost all the same")
	}
}
