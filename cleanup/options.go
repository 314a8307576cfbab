package cleanup

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firn.dev/coordinator"
	"firn.dev/segments"
)

// Options is what a Cleaner needs. Zero values of the numbers mean their defaults.
type Options struct {
	Node       *coordinator.Node
	Store      segments.Store
	Pace       *Pace // of merges; nil: nothing is merged or compacted
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	CommitDeadline time.Duration // as node and coordinator have it; coordinator.DefaultCommitDeadline
	Grace          time.Duration // how long garbage is kept: see coordinator.Node.Unreferenced; coordinator.DefaultGrace

	TargetBytes int64 // how large merged segments become; 256 MiB
	MemoryBytes int64 // of all jobs together; 64 MiB
	MapBytes    int64 // of the last offsets of keys, of all compactions together; 64 MiB
	// age at which mixed spans are merged, however few they are; 12 commit deadlines, which is an hour
	Stale    time.Duration
	Interval time.Duration // between two rounds with nothing to do; a thirtieth of the commit deadline, which is 10 s
	Retain   time.Duration // between two moves of log starts; a fifth of the commit deadline, which is a minute
	LeaseTTL time.Duration // 15 s

	ArchiveBatch, ArchiveKeep int // see coordinator.ArchiveOptions; 256 both

	MaxDecompressed int // of the records of a batch that is compacted; what has more stays as it is; 100 MiB
}

const (
	defaultTarget       = 256 << 20
	defaultMemory       = 64 << 20
	defaultMap          = 64 << 20
	defaultDecompressed = 100 << 20
	// jobMemory is about what a job holds that streams: the reader's window, and an upload with its
	// parts under way.
	jobMemory = 32 << 20
	maxJobs   = 4
	// leastTarget is how far retention may lower the target.
	leastTarget = 64 << 10
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	o.CommitDeadline = orDefault(o.CommitDeadline, coordinator.DefaultCommitDeadline)
	o.Grace = orDefault(o.Grace, coordinator.DefaultGrace)
	o.TargetBytes = orDefault(o.TargetBytes, defaultTarget)
	o.MemoryBytes = orDefault(o.MemoryBytes, defaultMemory)
	o.MapBytes = orDefault(o.MapBytes, defaultMap)
	o.MaxDecompressed = orDefault(o.MaxDecompressed, defaultDecompressed)
	o.ArchiveBatch = orDefault(o.ArchiveBatch, 256)
	o.ArchiveKeep = orDefault(o.ArchiveKeep, 256)
	o.Stale = orDefault(o.Stale, 12*o.CommitDeadline)
	o.Interval = orDefault(o.Interval, max(o.CommitDeadline/30, 100*time.Millisecond))
	o.Retain = orDefault(o.Retain, o.CommitDeadline/5)
	o.LeaseTTL = orDefault(o.LeaseTTL, min(max(o.CommitDeadline/4, 4*time.Second), 15*time.Second))
	return o
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (o *Options) validate() error {
	var problems []error
	check := func(wrong bool, problem string) {
		if wrong {
			problems = append(problems, errors.New(problem))
		}
	}
	check(o.Node == nil || o.Store == nil, "a node and a store are needed")
	check(o.CommitDeadline < 0 || o.Grace < 0 || o.Stale < 0 || o.Interval < 0 || o.Retain < 0 || o.LeaseTTL < 0,
		"a duration is negative")
	check(o.ArchiveBatch < 1 || o.ArchiveKeep < 1, "ArchiveBatch or ArchiveKeep is negative")
	check(o.TargetBytes < leastTarget, fmt.Sprintf("TargetBytes %d is less than %d", o.TargetBytes, leastTarget))
	check(o.MemoryBytes < 1<<20, fmt.Sprintf("MemoryBytes %d is less than a MiB", o.MemoryBytes))
	check(o.MapBytes < 1<<10, fmt.Sprintf("MapBytes %d is less than a KiB", o.MapBytes))
	check(o.MaxDecompressed < 1, fmt.Sprintf("MaxDecompressed %d is less than 1", o.MaxDecompressed))
	if len(problems) > 0 {
		return fmt.Errorf("cleanup: %w", errors.Join(problems...))
	}
	return nil
}

// jobs is how many jobs run at once.
func (o *Options) jobs() int { return int(min(max(o.MemoryBytes/jobMemory, 1), maxJobs)) }

// ripeness is how old a mixed segment is before its spans may be merged or removed: it cannot be
// committed again, by whatever clock. See coordinator.ProposeMerge. At the default deadline it is
// that and a minute.
func (o *Options) ripeness() time.Duration { return o.CommitDeadline + o.CommitDeadline/5 }
