package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Bounds of bench.
const (
	leastBenchBytes = 16 // of a value: it begins with the time at which it was due, and with what it was measured by
	mostBenchBytes  = 1 << 20
	mostProducers   = 1000
	mostBenchRate   = 10_000_000
	shortestBench   = time.Second
	longestBench    = 24 * time.Hour
	idempotent      = 5 // requests in flight, as Kafka's clients have them
)

type benchOptions struct {
	bootstrap
	nodes       nodesOfTop
	topic       string // that is there; empty: one of its own
	partitions  int32
	rates       []int
	size        int
	payload     string
	compression string
	producers   int
	linger      time.Duration
	inFlight    int
	warm, span  time.Duration
	form        outputForm
}

const (
	payloadText   = "text"
	payloadRandom = "random"
)

func newBench(s streams) *cobra.Command {
	o := &benchOptions{}
	cmd := &cobra.Command{
		Use:   "bench [TOPIC]",
		Short: "Measure latency and throughput of a cluster, with the settings of your clients",
		Long: "Measure latency and throughput of a cluster, with the settings of your clients: a line for each --rate. A\n" +
			"topic is created for it, and deleted afterwards; a TOPIC that is named keeps what is written.\n\n" +
			"Producers write records when each is due, at random times, and a consumer reads them at the tail.\n" +
			"Latencies count from the moment at which a record was due, so that a slow answer counts for all that it\n" +
			"holds up: to its acknowledgement, and to the consumer. At rate 0 producers write as fast as they can, and a\n" +
			"record is due when the client takes it. A rate that is too much shows as fewer records/s and as unsent ones:\n" +
			"those for which the client had no room until it was over. At the end all is read from its beginning.\n\n" +
			"With --http-url it says what the requests to the bucket came to, those of other clients included, at the list\n" +
			"prices of S3 Standard in us-east-1.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.topic = args[0]
			}
			if err := o.check(); err != nil {
				return err
			}
			return bench(cmd.Context(), s, o)
		},
	}
	o.bootstrap.addFlag(cmd)
	f := cmd.Flags()
	f.IntSliceVar(&o.rates, "rate", []int{1, 100, 0}, "`records` a second, of all producers together, comma-separated; "+
		"0: as many as they can write")
	f.IntVar(&o.size, "size", 1024, "`bytes` of a record's value")
	f.StringVar(&o.payload, "payload", payloadText, "what is in it: text, like lines of a log in JSON, or random, which "+
		"nothing compresses")
	f.StringVar(&o.compression, "compression", "none", "`codec` of the batches: none, gzip, snappy, lz4 or zstd")
	f.IntVar(&o.producers, "producers", 1, "how many clients write")
	f.DurationVar(&o.linger, "linger", 10*time.Millisecond, "how long a client waits for more to send together; Kafka's "+
		"linger.ms")
	f.IntVar(&o.inFlight, "in-flight", idempotent,
		"requests of a client at once to each node; idempotent with 1 and 5 alone")
	f.Int32Var(&o.partitions, "partitions", 12, "of the topic that is created")
	f.DurationVar(&o.span, "for", 20*time.Second, "how long each rate is measured")
	f.DurationVar(&o.warm, "warm", 3*time.Second, "how long it runs before that")
	f.StringSliceVar(&o.nodes.urls, "http-url", nil, "`URL` of the HTTP of one or more nodes, comma-separated; they name "+
		"the others")
	o.form.addFlag(cmd)
	cmd.ValidArgsFunction = firstArg(o.complete(listTopicNames))
	completeFlag(cmd, "compression", completeCodecs())
	completeFlag(cmd, "payload", fixedWords(payloadText, payloadRandom))
	return cmd
}

// check finds what is wrong with the flags.
func (o *benchOptions) check() error {
	between := func(flag string, v, least, most int) error {
		if v < least || v > most {
			return usagef("--%s %d is not between %d and %d", flag, v, least, most)
		}
		return nil
	}
	problems := []error{
		between("size", o.size, leastBenchBytes, mostBenchBytes),
		between("producers", o.producers, 1, mostProducers),
		between("in-flight", o.inFlight, 1, 1000),
		between("partitions", int(o.partitions), 1, 10_000),
	}
	for _, rate := range o.rates {
		problems = append(problems, between("rate", rate, 0, mostBenchRate))
	}
	if !slices.Contains([]string{payloadText, payloadRandom}, o.payload) {
		problems = append(problems, usagef("--payload %q is not text or random", o.payload))
	}
	if o.span < shortestBench || o.span > longestBench {
		problems = append(problems, usagef("--for %s is not between %s and %s", o.span, shortestBench, longestBench))
	}
	if o.warm < 0 || o.warm > longestBench {
		problems = append(problems, usagef("--warm %s is not between 0 and %s", o.warm, longestBench))
	}
	if o.linger < 0 || o.linger > time.Minute {
		problems = append(problems, usagef("--linger %s is not between 0 and a minute", o.linger))
	}
	if _, err := codec(o.compression); err != nil {
		problems = append(problems, err)
	}
	o.nodes.login = o.login
	if err := o.nodes.prepare(); err != nil {
		problems = append(problems, err)
	}
	if i := slices.IndexFunc(problems, func(err error) bool { return err != nil }); i >= 0 {
		return problems[i]
	}
	return nil
}

// benchReport is what bench found.
type benchReport struct {
	Topic       string         `json:"topic"`
	Partitions  int            `json:"partitions"`
	Producers   int            `json:"producers"`
	InFlight    int            `json:"in_flight" table:"requests in flight"`
	Linger      millis         `json:"linger_ms" table:"linger, ms"`
	Size        int            `json:"value_bytes" table:"bytes of a value"`
	Payload     string         `json:"payload"`
	Compression string         `json:"compression"`
	Seconds     float64        `json:"seconds" table:"seconds each"`
	ReadRecords perSecond      `json:"read_records_per_second" table:"read again, records/s"`
	Read        bytesPerSecond `json:"read_bytes_per_second" table:"read again, values/s"`
	Rates       []benchMeasure `json:"rates"`
}

// benchMeasure is a line of it: what one rate came to.
type benchMeasure struct {
	Rate       string         `json:"rate"` // records a second that were asked for, or max
	Records    perSecond      `json:"records_per_second" table:"records/s"`
	In         bytesPerSecond `json:"bytes_per_second" table:"values/s"`
	Ack50      *millis        `json:"acknowledged_p50_ms" table:"ack p50 ms"`
	Ack99      *millis        `json:"acknowledged_p99_ms" table:"p99"`
	Ack999     *millis        `json:"acknowledged_p999_ms" table:"p99.9"`
	Consumed50 *millis        `json:"consumed_p50_ms" table:"consumed p50 ms"`
	Consumed99 *millis        `json:"consumed_p99_ms" table:"p99"`
	Failed     int64          `json:"failed"`
	Unsent     int64          `json:"unsent"` // that were due, and the client had no room for in time
	Puts       *perSecond     `json:"puts_per_second" table:"puts/s"`
	GiB        *dollars       `json:"dollars_per_gib" table:"$/GiB"`
}

// bench measures one rate after another.
func bench(ctx context.Context, s streams, o *benchOptions) (err error) {
	b := &benching{benchOptions: o, name: o.topic, values: benchValues(o.payload, o.size)}
	if o.topic == "" {
		if err := b.createTopic(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.deleteTopic()) }()
	}
	begin, err := b.ends(ctx)
	if err != nil {
		return err
	}
	report := benchReport{
		Topic: b.name, Partitions: len(begin), Producers: o.producers, InFlight: o.inFlight,
		Linger: millis(o.linger.Seconds() * 1000), Size: o.size, Payload: o.payload, Compression: o.compression,
		Seconds: o.span.Seconds(),
	}
	if len(o.nodes.urls) > 0 { // what is wrong there is told before, and not after
		if _, err := o.nodes.look(ctx); err != nil {
			return err
		}
	}
	for _, rate := range o.rates {
		s.note("%s at %s records/s, for %s", b.name, rateName(rate), o.warm+o.span)
		m, err := b.measure(ctx, rate)
		if err != nil {
			return b.printed(s, report, err)
		}
		report.Rates = append(report.Rates, m)
	}
	report.ReadRecords, report.Read, err = b.readAgain(ctx, begin)
	return b.printed(s, report, err)
}

// printed prints what there is, also if something went wrong afterwards.
func (b *benching) printed(s streams, report benchReport, wrong error) error {
	if len(report.Rates) == 0 {
		return wrong
	}
	return errors.Join(wrong, b.form.print(s.Out, report))
}

// rateName is how a report calls a rate.
func rateName(rate int) string {
	if rate == 0 {
		return "max"
	}
	return strconv.Itoa(rate)
}

// createTopic creates one that no other bench uses.
func (b *benching) createTopic(ctx context.Context) error {
	ctx, adm, done, err := b.admin(ctx)
	if err != nil {
		return err
	}
	defer done()
	b.name = "firn-bench-" + ulid.Make().String()
	created, err := adm.CreateTopic(ctx, b.partitions, -1, nil, b.name)
	return explain(b.name, err, created.ErrMessage)
}

// deleteTopic deletes what was created, also after an interrupt.
func (b *benching) deleteTopic() error {
	ctx, adm, done, err := b.admin(context.Background())
	if err != nil {
		return fmt.Errorf("topic %s is left: %w", b.name, err)
	}
	defer done()
	deleted, err := adm.DeleteTopic(ctx, b.name)
	return explain(b.name, err, deleted.ErrMessage)
}

// ends are the offsets at which the partitions of the topic end.
func (b *benching) ends(ctx context.Context) (map[int32]int64, error) {
	ctx, adm, done, err := b.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := lookUp(ctx, adm, b.name); err != nil {
		return nil, err
	}
	listed, err := adm.ListEndOffsets(ctx, b.name)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, explain(b.name, err, "")
	}
	found := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { found[o.Partition] = o.Offset })
	return found, nil
}
