package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"firn.dev/replay"
)

type replayOptions struct {
	topic, store, from, to string
	partitions             partitionList
	format, out            string
	schema                 string
	sample                 int
	compression            string
	fileBytes, memory      byteSize
	parallel               int
	follow, plan, append   bool
	isolation              string
	poll                   time.Duration
	prices                 replay.Prices
	form                   outputForm
}

// plannedReplay is what --plan says.
type plannedReplay struct {
	Partitions int     `json:"partitions"`
	Offsets    int64   `json:"offsets"`
	Objects    int64   `json:"objects"`
	Bytes      int64   `json:"bytes"`
	Gets       int64   `json:"gets"`
	StateGets  int64   `json:"state_gets"`
	Lists      int64   `json:"lists"`
	Dollars    float64 `json:"dollars"`
}

func newReplay(s streams) *cobra.Command {
	o := &replayOptions{fileBytes: 256 << 20, memory: 256 << 20, prices: replay.ListPrices}
	cmd := &cobra.Command{
		Use:   "replay TOPIC",
		Short: "Read a topic straight from the bucket, without a node",
		Long: "Read a topic straight from the bucket, at its speed, without a node: from --from (inclusive) to --to\n" +
			"(exclusive), the records of each partition in order.\n\n" +
			"Formats: ndjson (one object a line), raw (each value and a newline) and parquet, with the columns partition,\n" +
			"offset, timestamp, key, value and headers. With --schema, the column value has the fields of values that are\n" +
			"JSON.\n\n" +
			"--out is a file, a directory (an existing one, or a path that ends with /) or a bucket's URL. In a directory\n" +
			"or a bucket each partition gets files of its own. When a replay into these was interrupted, the same command\n" +
			"goes on with the first file that was not finished. When it was complete and more records were written since,\n" +
			"the same command fails; with --append it goes on where it ended.\n\n" +
			"Batches that nobody can read, because their producer wrote them so, are skipped and named on standard error.\n" +
			"The exit status is then 4, though everything else was replayed.\n\n" +
			"--plan only says how many objects, bytes and requests the replay takes, and how many dollars at list prices.",
		Args: exactly("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.topic = args[0]
			return runReplay(cmd.Context(), s, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(
		&o.store,
		"store",
		defaultStore,
		"the bucket's `URL`: file:///dir, s3://bucket/prefix or minio://host:port/bucket/prefix",
	)
	f.StringVar(
		&o.from,
		"from",
		"earliest",
		"`where` to begin: earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z",
	)
	f.StringVar(&o.to, "to", "latest", "`where` to end, exclusive: the same")
	f.Var(&o.partitions, "partition", "replay these partitions alone, such as 0,3-5; by default all")
	f.StringVarP(&o.format, "format", "f", "ndjson", "`how` records are written: ndjson, raw or parquet")
	f.StringVar(&o.out, "out", "", "a file, a directory or a bucket's `URL`; by default standard output")
	f.StringVar(
		&o.schema,
		"schema",
		"",
		"for parquet: values are JSON with the fields in this `file`, or, if it is infer, with those found in a sample",
	)
	f.IntVar(&o.sample, "sample", 1000, "`records` that --schema infer looks at")
	f.StringVar(&o.compression, "compression", "zstd", "of parquet: zstd, snappy or none")
	f.Var(&o.fileBytes, "file-bytes", "`size` at which files in a directory or a bucket are cut")
	f.Var(&o.memory, "memory", "memory for reading ahead, decoding and collecting; no less than 16MiB")
	f.IntVar(&o.parallel, "parallel", 8, "`requests` to the bucket at once")
	f.StringVar(
		&o.isolation,
		"isolation",
		"read-committed",
		"read-committed, or read-uncommitted: records of open and aborted transactions as well",
	)
	f.BoolVarP(
		&o.follow,
		"follow",
		"F",
		false,
		"at the end, wait for new records; only to standard output, as ndjson or raw",
	)
	f.DurationVar(&o.poll, "poll", time.Second, "how often --follow looks for new records: about how late they come")
	f.BoolVar(
		&o.append,
		"append",
		false,
		"when --out has a complete replay, add the records written since: for a job that runs every night",
	)
	f.BoolVar(&o.plan, "plan", false, "say what the replay would cost, and end")
	o.form.addFlag(cmd)
	f.Lookup(outputFlag).Usage = "how --plan is written: table, json or yaml"
	f.Float64Var(&o.prices.Get, "price-get", o.prices.Get, "`dollars` for a thousand GET requests")
	f.Float64Var(&o.prices.List, "price-list", o.prices.List, "`dollars` for a thousand LIST requests")
	f.Float64Var(
		&o.prices.Transfer,
		"price-transfer",
		0,
		"`dollars` for a GiB that leaves the bucket; within a region it is 0",
	)
	return cmd
}

// options are those of the package. What is wrong with them is a usageError.
func (o *replayOptions) options(s streams) (replay.Options, error) {
	from, err := replay.ParsePlace(o.from)
	if err != nil {
		return replay.Options{}, usagef("--from %w", err)
	}
	to, err := replay.ParsePlace(o.to)
	if err != nil {
		return replay.Options{}, usagef("--to %w", err)
	}
	for _, problem := range []error{
		flagError("memory", within(int64(o.memory), 16<<20, math.MaxInt64)),
		flagError("parallel", within(int64(o.parallel), 1, 1024)),
		flagError("file-bytes", within(int64(o.fileBytes), 1, math.MaxInt64)),
		flagError("sample", within(int64(o.sample), 1, 1_000_000)),
	} {
		if problem != nil {
			return replay.Options{}, problem
		}
	}
	if o.format == "json" { // which other commands call it
		o.format = "ndjson"
	}
	switch {
	case o.isolation != "read-committed" && o.isolation != "read-uncommitted":
		return replay.Options{}, usagef("--isolation %q: it is read-committed or read-uncommitted", o.isolation)
	case o.follow && o.to != "latest":
		return replay.Options{}, usagef("--follow has no end: it does not go with --to")
	case o.follow && (o.out != "" || o.format == "parquet"):
		return replay.Options{}, usagef("--follow writes to standard output, as ndjson or raw")
	case o.follow && o.poll < 10*time.Millisecond:
		return replay.Options{}, usagef("--poll %v is less than 10ms", o.poll)
	case o.schema != "" && o.format != "parquet":
		return replay.Options{}, usagef("--schema is for --format parquet")
	}
	return replay.Options{
		Topic:       o.topic,
		Partitions:  o.partitions.sorted(),
		From:        from,
		To:          to,
		Follow:      o.follow,
		Poll:        o.poll,
		Uncommitted: o.isolation == "read-uncommitted",
		Memory:      int64(o.memory),
		Parallel:    o.parallel,
		Note:        s.note,
	}, nil
}

func flagError(flag string, err error) error {
	if err != nil {
		return usagef("--%s: %w", flag, err)
	}
	return nil
}

func runReplay(ctx context.Context, s streams, o *replayOptions) error {
	opts, err := o.options(s)
	if err != nil {
		return err
	}
	if _, err := o.formatOf(nil); err != nil {
		return err
	}
	b, err := openStoreToRead(ctx, o.store)
	if err != nil {
		return err
	}
	defer b.Close()
	opts.Store = b
	r, err := replay.Open(ctx, opts)
	if err != nil {
		return err
	}
	if o.plan {
		cost, err := r.Cost(ctx)
		if err != nil {
			return err
		}
		return o.form.printWith(s.Out, plannedReplay{cost.Partitions, cost.Offsets, cost.Objects, cost.Bytes, cost.Gets,
			cost.StateGets, cost.Lists, cost.Dollars(o.prices)}, func(w io.Writer) error { return cost.Write(w, o.prices) })
	}
	to, err := openDestination(o.out, s)
	if err != nil {
		return err
	}
	if to.bucket != nil {
		return o.intoFiles(ctx, s, r, to)
	}
	if o.append {
		return usagef("--append adds files: --out has to be a directory or a bucket")
	}
	return o.intoStream(ctx, s, r, to)
}

// intoStream writes everything one after the other.
func (o *replayOptions) intoStream(ctx context.Context, s streams, r *replay.Replay, to *destination) error {
	schema, err := o.schemaOf(ctx, r)
	if err != nil {
		return err
	}
	format, err := o.formatOf(schema)
	if err != nil {
		return err
	}
	w, commit, abort, err := to.stream(s)
	if err != nil {
		return err
	}
	defer abort()
	out, err := replay.NewStream(w, format)
	if err != nil {
		return err
	}
	p := startReplayProgress(s, r, o.follow || to.silent)
	err = r.Run(ctx, out)
	p.finish()
	if o.follow && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return r.Skipped()
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	if err := errors.Join(out.Close(), commit()); err != nil {
		return err
	}
	return r.Skipped()
}

// intoFiles writes each partition into files of its own, or goes on to do so.
func (o *replayOptions) intoFiles(ctx context.Context, s streams, r *replay.Replay, to *destination) error {
	store, err := to.bucket.Open(ctx)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	defer store.Close()
	schema, err := o.schemaOf(ctx, r)
	if err != nil {
		return err
	}
	job := replay.Job{Topic: r.Topic().Name, TopicID: r.Topic().ID.String(), Format: o.format, Ranges: r.Ranges(),
		Request: fmt.Sprintf("from %s to %s, partitions %v, schema %q", o.from, o.to, o.partitions.sorted(), o.schema)}
	if schema != nil {
		if job.Schema, err = json.Marshal(schema); err != nil {
			return err
		}
	}
	job.Append = o.append
	files, err := replay.OpenFiles(ctx, store, job)
	if errors.Is(err, replay.ErrComplete) {
		return fmt.Errorf("--out %s: %w; add them with --append, or write somewhere else", to.bucket, err)
	}
	if err != nil {
		return fmt.Errorf("--out %s: %w", to.bucket, err)
	}
	if files.Complete() {
		s.note(
			"%s: the replay there is complete: %s; nothing was written since",
			to.bucket,
			covered(files.Job().Ranges),
		)
		return nil
	}
	if text := files.Job().Schema; text != nil { // that of the first call: a sample may be another one by now
		if schema, err = replay.ParseSchema(text); err != nil {
			return err
		}
	}
	format, err := o.formatOf(schema)
	if err != nil {
		return err
	}
	files.Use(format, int64(o.fileBytes))
	r.SetRanges(files.Left())
	if files.Resumed() {
		s.note(
			"%s: going on with what a replay has left that was interrupted: %d of %d partitions are not complete",
			to.bucket,
			len(files.Left()),
			len(files.Job().Ranges),
		)
	}
	p := startReplayProgress(s, r, false)
	err = r.Run(ctx, files)
	p.finish()
	if err != nil {
		err = interrupted(ctx, err)
		if ctx.Err() != nil {
			err = fmt.Errorf("%w; the same call goes on with the files that are not finished", err)
		}
		return err
	}
	if err := files.Succeed(ctx); err != nil {
		return err
	}
	s.note("%s: complete: %s", to.bucket, covered(files.Job().Ranges))
	return r.Skipped()
}

// covered says up to which offsets partitions are replayed.
func covered(ranges []replay.Range) string {
	var b strings.Builder
	for i, r := range ranges {
		if i == coveredShown {
			fmt.Fprintf(&b, ", and %d more", len(ranges)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "partition %d up to offset %d", r.Partition, r.To)
	}
	return b.String()
}

// coveredShown is how many partitions are named.
const coveredShown = 8

// interrupted is what is said of an error that a signal caused.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}
