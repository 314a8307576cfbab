package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"firn.dev/test/process"
	"firn.dev/test/torture/history"
)

// CleanupOptions says how a server is killed while it merges, removes what is old and collects
// garbage.
type CleanupOptions struct {
	Options
	Firn    string        // the binary
	Cluster bool          // three nodes on MinIO and Redis instead of one on a directory
	Life    time.Duration // how long a server lives at most before it is killed; 5 s
}

// CleanupResult is what that found out.
type CleanupResult struct {
	history.Report
	Kills   int
	Churned int
	Expired int64              // offset at which the topic of records that expire begins in the end
	Audits  int                // none of which found anything missing
	Audit   string             // the last line of the last one
	Counts  map[string]float64 // by the servers that were killed, up to a moment before, and the last ones
}

func (r CleanupResult) String() string {
	var b strings.Builder
	b.WriteString(counts(r.Report))
	line := func(name string, value any) { fmt.Fprintf(&b, "%-28s %v\n", name, value) }
	line("kills", r.Kills)
	line("topics churned", r.Churned)
	for _, name := range cleanupCounters {
		line(strings.TrimSuffix(strings.TrimPrefix(name, "firn_cleanup_"), "_total"), r.Counts[name])
	}
	line("expired up to offset", r.Expired)
	line("audits", r.Audits)
	line("the last audit", r.Audit)
	return b.String()
}

// cleanupCounters are those metrics that show whether there was anything to kill.
var cleanupCounters = []string{"firn_cleanup_merges_total", "firn_cleanup_merged_spans_total",
	"firn_cleanup_merged_bytes_total", "firn_cleanup_failures_total",
	"firn_cleanup_retained_total", "firn_cleanup_collected_objects_total", "firn_cleanup_collected_bytes_total"}

// haste says how long takes what takes hours otherwise.
type haste struct{ deadline, grace time.Duration }

// onDirectory and onCluster are as hasty as two cores allow: a look for garbage has to take less
// than a part of the grace.
var (
	onDirectory = haste{1500 * time.Millisecond, 2 * time.Second}
	onCluster   = haste{1500 * time.Millisecond, 10 * time.Second}
)

func (h haste) flags() []string {
	return []string{"--commit-deadline", h.deadline.String(), "--gc-grace", h.grace.String()}
}

// settled is after how long nothing may be leaked any more: see coordinator.Audit. A merged segment
// may be as old as twelve deadlines.
func (h haste) settled() time.Duration { return 12*h.deadline + 3*h.grace + 2*time.Second }

// deployment is where servers are killed.
type deployment interface {
	addrs() []string
	store() string // for firn doctor
	lives() []*process.Process
	kill(ctx context.Context, random *rand.Rand) error // one of them, and start it again
	restart(ctx context.Context) error                 // all of them
	stop()
}

// TortureCleanup kills servers at random moments while they merge small segments, remove what is
// old and collect garbage. Nothing may be lost, doubled or moved, an audit may never find anything
// missing, and the last one, when there was time, nothing leaked.
func TortureCleanup(ctx context.Context, opts CleanupOptions) (CleanupResult, error) {
	opts.Options = opts.withDefaults()
	opts.Life = orDefault(opts.Life, 5*time.Second)
	opts.Strikes = orDefault(opts.Strikes, 50)
	hasty := onDirectory
	if opts.Cluster {
		hasty = onCluster
	}
	at, err := openDeployment(ctx, opts, hasty.flags())
	if at != nil {
		defer at.stop()
	}
	if err != nil {
		return CleanupResult{}, err
	}
	c := &crowd{opts: opts.Options, addrs: at.addrs(), checker: history.New(opts.Plain), errors: map[string]int{},
		tailing: func(int) []kgo.Opt {
			return nil
		}}
	t := &cleanupTorture{c: c, at: at, opts: opts, hasty: hasty, expiring: &expiring{c: c}, churn: newChurn(c),
		result: CleanupResult{Counts: map[string]float64{}}}
	if err := errors.Join(c.createTopic(ctx), t.expiring.create(ctx)); err != nil {
		return t.result, err
	}
	err = c.work(ctx, t.kills, t.churn)
	t.result.Churned = t.churn.count()
	if err != nil {
		t.result.Report = c.checker.SoFar()
		return t.result, errors.Join(err, t.shown())
	}
	return t.result, t.judge(ctx)
}

type cleanupTorture struct {
	c        *crowd
	at       deployment
	opts     CleanupOptions
	hasty    haste
	expiring *expiring
	churn    *churn
	result   CleanupResult
}

func (t *cleanupTorture) shown() error {
	if failures := t.c.failures(); failures != "" {
		return fmt.Errorf("clients were shown errors:%s", failures)
	}
	return nil
}

// kills kills, with records that expire beside, and then gives the last servers time.
func (t *cleanupTorture) kills(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	beside, stop := context.WithCancel(ctx)
	group.Go(func() error { return t.expiring.write(beside) })
	group.Go(func() error { return t.expiring.watch(beside) })
	group.Go(func() error {
		defer stop()
		random := rand.New(rand.NewPCG(t.opts.Seed, 0))
		for t.result.Kills < t.opts.Strikes {
			if err := sleep(ctx, time.Duration(random.Int64N(int64(t.opts.Life)))); err != nil {
				return err
			}
			t.count(ctx)
			t.c.checker.Strike()
			if err := t.at.kill(ctx, random); err != nil {
				return err
			}
			t.c.checker.Struck()
			if t.result.Kills++; t.result.Kills%5 == 0 {
				fmt.Fprintf(t.opts.Log, "%d kills, %.0f merges, %.0f objects collected\n", t.result.Kills,
					t.result.Counts[cleanupCounters[0]], t.result.Counts[cleanupCounters[5]])
				if err := t.audit(ctx, false); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return group.Wait()
}

// judge waits until nothing may be leaked any more, and looks at everything.
func (t *cleanupTorture) judge(ctx context.Context) error {
	expired := t.expiring.sent.Load()
	fmt.Fprintf(t.opts.Log, "%d kills; the last servers have %s\n", t.result.Kills, t.hasty.settled())
	writing, stop := context.WithTimeout(ctx, t.hasty.settled())
	defer stop()
	if err := t.expiring.write(writing); err != nil { // the store's clock is told by objects
		return err
	}
	t.count(ctx)
	faults := []error{t.audit(ctx, true), t.at.restart(ctx)}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	final, err := t.c.readBack(ctx)
	if final == nil {
		return errors.Join(append(faults, err)...)
	}
	t.result.Report = t.c.checker.Finish(final)
	faults = append(faults, err, t.result.Err(), t.expiring.judge(ctx, expired), t.churn.judge(ctx), t.shown())
	t.result.Expired = expired
	return errors.Join(faults...)
}

// audit audits the bucket with the command that is there for it. Only when the servers were given
// time may nothing be leaked.
func (t *cleanupTorture) audit(ctx context.Context, leaks bool) error {
	ctx, cancel := context.WithTimeout(ctx, 4*patience) // it looks at each object that seems to be leaked
	defer cancel()
	out, err := exec.CommandContext(ctx, t.opts.Firn,
		append([]string{"doctor", "--audit", "--store", t.at.store()}, t.hasty.flags()...)...).Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.result.Audit = lines[len(lines)-1]
	t.result.Audits++
	var leaked, missing int
	if _, scan := fmt.Sscanf(t.result.Audit, "leaked: %d, missing: %d", &leaked, &missing); scan != nil {
		return fmt.Errorf("the audit ended with %q: %w", t.result.Audit, errors.Join(err, scan))
	}
	if missing > 0 || leaks && leaked > 0 {
		return fmt.Errorf("the audit found what should not be:\n%s", strings.Join(bad(lines), "\n"))
	}
	return nil
}

// bad are the lines of an audit that tell of something wrong.
func bad(lines []string) (wrong []string) {
	for _, line := range lines {
		if strings.HasPrefix(line, "missing") || strings.HasPrefix(line, "leaked") {
			wrong = append(wrong, line)
		}
	}
	return wrong[:min(len(wrong), 50)]
}

// count adds what the living servers have done, just before one of them is killed: those that live
// on are counted again, so with a cluster it is an upper bound.
func (t *cleanupTorture) count(ctx context.Context) {
	for _, p := range t.at.lives() {
		for name, value := range scrape(ctx, p.HTTP()) {
			t.result.Counts[name] += value
		}
	}
}

// scrape reads the counters of a server; none if it does not answer.
func scrape(ctx context.Context, addr string) map[string]float64 {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	found := map[string]float64{}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return found
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return found
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if strings.HasPrefix(name, "firn_cleanup_") {
			found[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return found
}

// openDeployment starts the servers.
func openDeployment(ctx context.Context, opts CleanupOptions, hasty []string) (deployment, error) {
	if opts.Cluster {
		// The put budget of stores that bill: without one, tens of thousands of objects come about in
		// minutes, and MinIO lists them for longer than a server lives here.
		c, err := startCluster(ctx, plan{firn: opts.Firn, dir: opts.Dir, flags: append(hasty, "--put-budget", "8")})
		return &clusterDeployment{c}, err
	}
	spec, err := process.NewSpec(append(process.Firn(opts.Firn), hasty...), filepath.Join(opts.Dir, "data"))
	if err != nil {
		return nil, err
	}
	t := &target{specs: []process.Spec{spec}}
	return directoryDeployment{t}, t.start(ctx)
}

// directoryDeployment is one server on a directory.
type directoryDeployment struct{ *target }

func (p directoryDeployment) store() string             { return p.specs[0].Dir }
func (p directoryDeployment) lives() []*process.Process { return []*process.Process{p.live} }
func (p directoryDeployment) kill(ctx context.Context, random *rand.Rand) error {
	return p.strike(ctx, Kill, random)
}

func (p directoryDeployment) restart(ctx context.Context) error {
	p.live.Kill()
	return p.start(ctx)
}

// clusterDeployment is three nodes on MinIO and Redis.
type clusterDeployment struct{ *cluster }

func (p *clusterDeployment) store() string { return p.minio.MinIOURL(bucket, "log") }

func (p *clusterDeployment) lives() (all []*process.Process) {
	for _, m := range p.nodes {
		all = append(all, m.live)
	}
	return all
}

func (p *clusterDeployment) kill(ctx context.Context, random *rand.Rand) error {
	p.nodes[random.IntN(len(p.nodes))].kill()
	if err := sleep(ctx, time.Duration(random.Int64N(int64(time.Second)))); err != nil {
		return err
	}
	return p.startNodes(ctx)
}

func (p *clusterDeployment) restart(ctx context.Context) error {
	for _, m := range p.nodes {
		m.kill()
	}
	return p.startNodes(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
