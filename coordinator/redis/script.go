package redis

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"firn.dev/coordinator"
)

//go:embed lua
var sources embed.FS

// script is Lua code that Redis runs as one step.
type script struct{ name, source, hash string }

// newScript reads a script and puts the prelude behind its first line, which tells Redis what kind
// of script it is.
func newScript(name string) script {
	head, body, _ := strings.Cut(read(name), "\n")
	return ofSource(name, head+"\n"+read("prelude")+body)
}

// whenFull is the same script, which Redis runs also when it is full.
func (s script) whenFull() script {
	_, body, _ := strings.Cut(s.source, "\n")
	return ofSource(s.name, "#!lua flags=allow-oom\n"+body)
}

func ofSource(name, source string) script {
	sum := sha1.Sum([]byte(source))
	return script{name, source, hex.EncodeToString(sum[:])}
}

func read(name string) string {
	b, err := sources.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // it is not in the program
	}
	return string(b)
}

var (
	lookScript     = newScript("look")
	loadScript     = newScript("load")
	openScript     = newScript("open")
	commitScript   = newScript("commit")
	confirmScript  = newScript("confirm")
	settledScript  = newScript("settled")
	latestScript   = newScript("latest")
	nowScript      = newScript("now")
	topicScript    = newScript("topic")
	namedScript    = newScript("named")
	marksScript    = newScript("marks")
	keyedScript    = newScript("keyed")
	proposeScript  = newScript("propose")
	deleteScript   = proposeScript.whenFull() // deletions make room
	offsetsScript  = newScript("offsets")
	lookIDScript   = newScript("txn_look")
	changeIDScript = newScript("txn_change")
	forgetScript   = newScript("forget")
	acquireScript  = newScript("acquire")
	releaseScript  = newScript("release")
	registerScript = newScript("register")
	nodesScript    = newScript("nodes")

	recoveringScript = newScript("recovering")
)

// Scripts returns the names of this package's scripts by their SHA-1, by which Redis knows them:
// for people who look at its traffic.
func Scripts() map[string]string {
	files, err := sources.ReadDir("lua")
	if err != nil {
		panic(err) // they are not in the program
	}
	names := map[string]string{deleteScript.hash: deleteScript.name}
	for _, file := range files {
		if name := strings.TrimSuffix(file.Name(), ".lua"); name != "prelude" {
			names[newScript(name).hash] = name
		}
	}
	return names
}

// once is a command that go-redis does not send again by itself when the reply was lost. That
// matters for clusters, whose client retries whatever MaxRetries says; it still follows a slot to
// where it has moved.
type once struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }

// run runs a script. Errors that the script raised on purpose come back as those of the contract;
// any other is trouble that may pass.
func (c *Coordinator) run(ctx context.Context, s script, keys []string, args ...any) (any, error) {
	reply, err := c.eval(ctx, "evalsha", s.hash, keys, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // then it did not run
		reply, err = c.eval(ctx, "eval", s.source, keys, args)
	}
	if err != nil {
		err = translate(s.name, err)
	}
	c.told(s.name, err)
	return reply, err
}

// told tells whoever wants to know how a call ended. A script that refuses has answered.
func (c *Coordinator) told(call string, err error) {
	result := "error"
	if !errors.Is(err, coordinator.ErrUnavailable) {
		result, err = "ok", nil
	}
	if c.opts.Calls != nil {
		c.opts.Calls.WithLabelValues(call, result).Inc()
	}
	if c.opts.Told != nil {
		c.opts.Told(call, err)
	}
}

// NewCalls returns a counter for Options.Calls:
// firn_coordinator_calls_total{call,result}, by script.
func NewCalls(r prometheus.Registerer) (*prometheus.CounterVec, error) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_coordinator_calls_total",
		Help: "Calls to Redis, by script and result: ok, also where the script refused, or error.",
	}, []string{"call", "result"})
	return calls, r.Register(calls)
}

func (c *Coordinator) eval(ctx context.Context, command, script string, keys []string, args []any) (any, error) {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, command, script, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	if err := c.process(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}

// processOnce sends a command once.
func (c *Coordinator) processOnce(ctx context.Context, cmd *redis.Cmd) error {
	return c.client.Process(ctx, once{cmd})
}

// errChanged says that Redis changed while state was loaded: begin again.
var errChanged = errors.New("Redis changed while state was loaded into it")

// raised are the errors that scripts raise, by what their text begins with.
var raised = []struct {
	prefix string
	err    error
}{
	{"FIRNNOTOPEN", coordinator.ErrNotOpen},
	{"FIRNINCARNATION", coordinator.ErrIncarnation},
	{"FIRNCLUSTER", coordinator.ErrOtherCluster},
	{"FIRNCHANGED", errChanged},
}

func translate(name string, err error) error {
	for _, r := range raised {
		if redis.HasErrorPrefix(err, r.prefix) {
			_, why, _ := strings.Cut(err.Error(), " ")
			return fmt.Errorf("%w (%s)", r.err, why)
		}
	}
	return fmt.Errorf("%w: redis, %s: %w%s", coordinator.ErrUnavailable, name, err, advice(err))
}

// advice says what to do about errors that nothing but another URL or another user ends; empty for
// others.
func advice(err error) string {
	switch {
	case redis.HasErrorPrefix(err, "NOPERM"), redis.HasErrorPrefix(err, "The user executing the script can't"):
		return " (its user needs more: see what a user of Redis needs in docs/operating/production.md)"
	case redis.HasErrorPrefix(err, "MOVED"):
		return " (this is a Redis Cluster: give cluster=true)"
	}
	return adviceOnTLS(err)
}

// reply takes a script's answer apart. A script that answers otherwise than its head says is a
// defect, or not Redis: that is an error too.
type reply struct {
	rest []any
	err  error
}

func newReply(answer any) *reply {
	list, ok := answer.([]any)
	if !ok {
		return &reply{err: fmt.Errorf("redis: an answer is %T, should be a list", answer)}
	}
	return &reply{rest: list}
}

func (r *reply) next() any {
	if len(r.rest) == 0 {
		if r.err == nil {
			r.err = errors.New("redis: an answer is too short")
		}
		return nil
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

func (r *reply) string() string {
	v := r.next()
	s, ok := v.(string)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("redis: an answer has %T where a string should be", v)
	}
	return s
}

func (r *reply) int() int64 {
	v := r.next()
	n, ok := v.(int64)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("redis: an answer has %T where a number should be", v)
	}
	return n
}
