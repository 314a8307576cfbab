package access

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Audit writes the lines that tell afterwards who changed what, and who was refused. They have the
// message "audit", and never tell secrets. Its methods may be called by many goroutines at once,
// and do nothing if it is nil.
type Audit struct {
	logger *slog.Logger

	mu      sync.Mutex
	refused map[refusal]int // how often again since the first line about it
	others  int             // refusals beyond maxRefusals different ones
}

// refusal is what is alike in refusals that are summed up.
type refusal struct {
	client    Client
	operation Operation
	on        Resource
}

// A refusal is logged when it first comes, and then no more often than once in auditWindow, with
// how often it came again. At most maxRefusals different ones are told apart: a client that asks
// for other names each time fills neither log nor memory.
const (
	auditWindow = time.Minute
	maxRefusals = 1000
)

// NewAudit returns an audit that writes to a log, whatever the log's level is: clients may set that
// one, and must not silence what tells of them.
func NewAudit(logger *slog.Logger) *Audit {
	return &Audit{logger: slog.New(everyLevel{logger.Handler()}), refused: map[refusal]int{}}
}

// everyLevel is a handler that takes records of each level.
type everyLevel struct{ slog.Handler }

func (everyLevel) Enabled(context.Context, slog.Level) bool { return true }

// Changed says that a client has changed something that somebody answers for, or that it failed to.
// The subject is what was changed, as people name it.
func (a *Audit) Changed(by Client, action, subject string, failed error) {
	if a == nil {
		return
	}
	result := "done"
	if failed != nil {
		result = failed.Error()
	}
	a.logger.Info("audit", "action", action, "subject", subject, "result", result,
		"principal", by.Principal.String(), "host", by.Host)
}

// Refused says that a client was not allowed what it asked for.
func (a *Audit) Refused(client Client, operation Operation, on Resource) {
	if a == nil {
		return
	}
	r := refusal{client, operation, on}
	a.mu.Lock()
	_, again := a.refused[r]
	switch {
	case again:
		a.refused[r]++
	case len(a.refused) >= maxRefusals:
		a.others++
	default:
		a.refused[r] = 0
		if len(a.refused) == 1 {
			time.AfterFunc(auditWindow, a.sum)
		}
	}
	first := !again && a.others == 0
	a.mu.Unlock()
	if first {
		a.log(r, "refused")
	}
}

func (a *Audit) log(r refusal, result string, more ...any) {
	a.logger.Warn("audit", append([]any{"action", r.operation.String(), "subject", r.on.String(), "result", result,
		"principal", r.client.Principal.String(), "host", r.client.Host}, more...)...)
}

// sum logs what came again in the window that is over.
func (a *Audit) sum() {
	a.mu.Lock()
	refused, others := a.refused, a.others
	a.refused, a.others = map[refusal]int{}, 0
	a.mu.Unlock()
	for r, times := range refused {
		if times > 0 {
			a.log(r, "refused again", "times", times, "within", auditWindow.String())
		}
	}
	if others > 0 {
		a.logger.Warn("audit", "action", "others", "result", "refused", "times", others, "within", auditWindow.String())
	}
}
