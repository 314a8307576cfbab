package access_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/access"
)

// lockedBuffer is a buffer that a timer may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// One line for each refusal that is new, one with the number of those that came again, and a bound
// for what is different each time.
func TestRefusalsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		a := access.NewAudit(slog.New(slog.NewTextHandler(&log, nil)))
		alice := access.Client{Principal: access.Principal{Type: "User", Name: "alice"}, Host: "10.0.0.1"}
		topic := access.Resource{Type: access.Topic, Name: "log"}
		for range 100 {
			a.Refused(alice, access.Write, topic)
		}
		who := "principal=User:alice host=10.0.0.1"
		if n := strings.Count(log.String(), "audit"); n != 1 || !strings.Contains(log.String(), who) {
			t.Errorf("%d lines at once:\n%s", n, &log)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "audit"); n != 2 || !strings.Contains(log.String(), "times=99") {
			t.Errorf("%d lines after the window:\n%s", n, &log)
		}
		time.Sleep(time.Hour)
		log.Reset()
		for i := range 3000 {
			a.Refused(alice, access.Write, access.Resource{Type: access.Topic, Name: fmt.Sprint(i)})
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "audit"); n != 1001 || !strings.Contains(log.String(), "times=2000") {
			t.Errorf("%d lines of 3000 different refusals", n)
		}
	})
}

// Clients may set the level of a node's log: they do not silence the audit with that.
func TestLevelsDoNotSilenceTheAudit(t *testing.T) {
	var log lockedBuffer
	a := access.NewAudit(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError + 1})))
	alice := access.Client{Principal: access.Principal{Type: "User", Name: "alice"}}
	a.Changed(alice, "DeleteTopics", "log", nil)
	a.Refused(alice, access.Write, access.Resource{Type: access.Topic, Name: "log"})
	for _, want := range []string{"level=INFO msg=audit action=DeleteTopics", "level=WARN msg=audit action=Write"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no line has %s; logged was\n%s", want, &log)
		}
	}
}

func TestChangesAreLogged(t *testing.T) {
	var log bytes.Buffer
	a := access.NewAudit(slog.New(slog.NewTextHandler(&log, nil)))
	a.Changed(access.Client{Principal: access.Anonymous, Host: "::1"}, "DeleteTopics", "log", errors.New("no such topic"))
	want := `msg=audit action=DeleteTopics subject=log result="no such topic" principal=User:ANONYMOUS host=::1`
	if !strings.Contains(log.String(), want) {
		t.Errorf("logged %s, want %s", &log, want)
	}
}
