package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"

	"firn.dev/coordinator/redis"
)

// loss is one reply of Redis that is to be lost: Redis carries the call out, and the connection
// breaks before anybody hears so. Several gates may wait for the same one.
type loss struct {
	call string        // whose reply: a script of the coordinator by its name, else a command of Redis
	done chan struct{} // closed when it is lost

	mu      sync.Mutex
	claimed bool // a call is under way
}

func newLoss(call string) *loss { return &loss{call: call, done: make(chan struct{})} }

// claim says whether the request that these bytes begin is the one whose reply is to be lost.
func (l *loss) claim(request []byte) bool {
	if callOf(request) != l.call {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claimed {
		return false
	}
	l.claimed = true
	return true
}

// settle says whether this reply is lost. If it says that the script did not run, or is none at
// all, another call will do.
func (l *loss) settle(reply []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(reply) == 0 || bytes.HasPrefix(reply, []byte("-NOSCRIPT")) {
		l.claimed = false
		return false
	}
	close(l.done)
	return true
}

// happened says whether the reply was lost.
func (l *loss) happened() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// withdraw has nothing lost any more, and says whether it was.
func (l *loss) withdraw() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.happened() {
		return true
	}
	l.claimed = true // by nobody
	return false
}

var scriptNames = redis.Scripts()

// callOf names the call that a request to Redis makes, or nothing if these bytes are not the
// beginning of one. The client sends one request at a time, so each begins with what is read after
// a reply.
func callOf(request []byte) string {
	if len(request) == 0 || request[0] != '*' {
		return ""
	}
	_, rest, _ := bytes.Cut(request, []byte("\r\n"))
	command, rest := bulk(rest)
	switch name := strings.ToLower(string(command)); name {
	case "evalsha":
		hash, _ := bulk(rest)
		return scriptNames[string(hash)]
	case "eval":
		source, _ := bulk(rest)
		sum := sha1.Sum(source)
		return scriptNames[hex.EncodeToString(sum[:])]
	default:
		return name
	}
}

// bulk reads one bulk string of RESP; nil if it is not here in full.
func bulk(b []byte) (value, rest []byte) {
	head, rest, found := bytes.Cut(b, []byte("\r\n"))
	if !found || len(head) < 2 || head[0] != '$' {
		return nil, nil
	}
	n, err := strconv.Atoi(string(head[1:]))
	if err != nil || n < 0 || n+2 > len(rest) {
		return nil, nil
	}
	return rest[:n], rest[n+2:]
}
