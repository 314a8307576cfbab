package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"firn.dev/localstack"
	"firn.dev/test/process"
)

// clients says how members on each client library are started; {…} stand for what membership has.
type client struct {
	name     string
	command  []string
	classic  []string // assignors
	consumer []string // assignors of the consumer protocol
	// bare is kcat: it prints "partition offset" of records and nothing else, and commits records that
	// it has not printed yet, so that one may get lost in it when it is told to end. So it stays to
	// the last.
	bare bool
}

// here is the folder of this program's sources, from where it is run.
func allClients(worker, here string) []client {
	in := func(name string) string { return filepath.Join(here, "members", name) }
	python := in("venv/bin/python")
	return []client{
		{name: "franz-go", command: []string{worker, "franz-go"},
			classic: []string{"range", "roundrobin", "sticky", "cooperative-sticky"}, consumer: []string{"uniform"}},
		{name: "sarama", command: []string{worker, "sarama"}, classic: []string{"range", "roundrobin", "sticky"}},
		{name: "java", command: javaMember(here, "Member"),
			classic: []string{"range", "roundrobin", "sticky", "cooperative-sticky"}, consumer: []string{"uniform", "range"}},
		{name: "confluent", command: []string{python, in("confluent.py")},
			classic: []string{"range", "roundrobin", "cooperative-sticky"}, consumer: []string{"uniform", "range"}},
		{name: "kafka-python", command: []string{python, in("kafka_python.py")}, classic: []string{"range", "roundrobin"}},
		{name: "kafkajs", command: []string{"node", in("kafkajs.js")}, classic: []string{"roundrobin"}},
		{name: "kcat", command: []string{"kcat"}, classic: []string{"range", "roundrobin"}, bare: true},
	}
}

// javaMember is the command line of a member in members/java.
func javaMember(here, class string) []string {
	return []string{"java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
		filepath.Join(here, "members", "java", "lib", "*"), class}
}

// knows says whether a client can be a member of such a group.
func (c client) knows(protocol, assignor string) bool {
	switch protocol {
	case "consumer":
		return slices.Contains(c.consumer, assignor)
	case "upgrade":
		// kcat ends itself when a Join is answered REBALANCE_IN_PROGRESS, as Kafka answers those that
		// wait at the moment of an upgrade
		return !c.bare && slices.Contains(c.classic, assignor)
	}
	return slices.Contains(c.classic, assignor)
}

// program is a member: a process.
type program struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	errs  localstack.Tail
	done  chan struct{}
	err   error
	dying atomic.Bool // it was killed
	gone  atomic.Bool // it was told to leave, or killed
}

// listener takes in what members say.
type listener interface {
	line(member, text string) error // that was printed
	take(e event)                   // that was not
}

// start starts a member.
func (c client) start(ctx context.Context, j listener, name, bootstrap, group, topic, protocol,
	assignor string) (*program, error) {
	args := append(slices.Clone(c.command[1:]), bootstrap, group, topic, protocol, assignor)
	if c.bare {
		args = []string{"-b", bootstrap, "-G", group, "-q", "-u", "-X", "auto.offset.reset=earliest", "-X",
			"partition.assignment.strategy=" + assignor,
			"-X", "heartbeat.interval.ms=500", "-X", "session.timeout.ms=10000", "-X", "topic.metadata.refresh.interval.ms=5000",
			"-f", "%p %o\n", topic}
	}
	p := &program{name: name, cmd: exec.CommandContext(ctx, c.command[0], args...), done: make(chan struct{})}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	p.cmd.Stderr = &p.errs
	p.cmd.SysProcAttr = process.DiesWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w; `make test-needs` installs what members need", name, err)
	}
	go p.read(out, j, c.bare)
	return p, nil
}

// maxLine bounds a line: of members of a share group, one names all records that were delivered.
const maxLine = 16 << 20

var bareRecord = regexp.MustCompile(`^\d+ \d+$`)

// read passes a member's lines on until it ends.
func (p *program) read(out io.Reader, j listener, bare bool) {
	defer close(p.done)
	var strange error
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		text := lines.Text()
		switch {
		case !bare:
			if err := j.line(p.name, text); err != nil && strange == nil {
				strange = err
			}
		case bareRecord.MatchString(text):
			j.take(event{time.Now().UnixNano(), p.name, "P", text})
		}
	}
	strange = cmp.Or(strange, lines.Err())
	j.take(event{time.Now().UnixNano(), p.name, "K", ""})
	p.err = p.cmd.Wait()
	if p.dying.Load() {
		p.err = nil
	} else if err := errors.Join(strange, p.err); err != nil {
		p.err = fmt.Errorf("%s: %w\n%s", p.name, err, p.errs.String())
	}
}

// leave has a member leave its group and end.
func (p *program) leave() error {
	p.gone.Store(true)
	p.stdin.Close()
	if strings.HasPrefix(p.name, "kcat") {
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(40 * time.Second):
		p.kill()
		return fmt.Errorf("%s was told to leave and did not\n%s", p.name, p.errs.String())
	}
}

// kill ends a member without a word.
func (p *program) kill() {
	p.dying.Store(true)
	p.gone.Store(true)
	p.cmd.Process.Kill()
	<-p.done
}

// alive is an error if the member has ended by itself.
func (p *program) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %w\n%s", p.name, cmp.Or(p.err, os.ErrProcessDone), p.errs.String())
	default:
		return nil
	}
}
