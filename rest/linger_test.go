package rest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// TestRefusedWhileSending: a client that is refused before it has sent its body gets the answer at
// once, can send the rest, and goes on with the connection.
func TestRefusedWhileSending(t *testing.T) {
	const large = 1 << 20 // more than net/http reads by itself
	for name, request := range map[string]struct {
		header string
		status int
	}{
		"no such path":   {"POST /nowhere HTTP/1.1", http.StatusNotFound},
		"another method": {"PUT /healthz HTTP/1.1", http.StatusMethodNotAllowed},
		"another origin": {"POST / HTTP/1.1\r\nOrigin: http://elsewhere.example", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, nil, func(t *testing.T, p *pipes, _ func() error) {
				c, _ := p.dial()
				defer c.Close()
				from := bufio.NewReader(c)
				fmt.Fprintf(c, "%s\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", request.header, large)
				resp, err := http.ReadResponse(from, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != request.status {
					t.Fatalf("%s, %v; want %d", resp.Status, err, request.status)
				}
				if _, err := c.Write(bytes.Repeat([]byte{' '}, large)); err != nil {
					t.Fatalf("the body is not taken: %v", err)
				}
				fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
				resp, err = http.ReadResponse(from, nil)
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("the next request on the connection: %v, %v", resp, err)
				}
			})
		})
	}
}

// TestLingeringEnds: who goes on to send after the answer, for longer than others need, is let go.
func TestLingeringEnds(t *testing.T) {
	const lingerTime = 10 * time.Second
	serving(t, nil, func(t *testing.T, p *pipes, _ func() error) {
		c, _ := p.dial()
		defer c.Close()
		fmt.Fprintf(c, "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", 1<<30)
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for {
			if _, err := c.Write([]byte{0}); errors.Is(err, io.ErrClosedPipe) {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took < lingerTime || took > lingerTime+5*time.Second {
			t.Errorf("the connection lived for %v after the answer, want about %v", took, lingerTime)
		}
	})
}
