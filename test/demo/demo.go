package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/test/process"
)

const (
	topic      = "source"
	partitions = 12
	// maxMessageBytes has room for the longest line of Go's source, 1.4 MB of generated table.
	maxMessageBytes = 4 << 20
)

// demo is one run.
type demo struct {
	source string // directory of .go files
	reader string // directory of the kafkajs reader
	say    func(format string, args ...any)
}

// run starts a server on dir, writes, reads twice, compares, and stops the server.
func (d demo) run(ctx context.Context, command []string, dir string) (err error) {
	spec, err := process.NewSpec(command, dir)
	if err != nil {
		return err
	}
	server, err := process.Start(spec)
	if err != nil {
		return err
	}
	defer server.Kill()
	took, err := server.Ready(ctx)
	if err != nil {
		return err
	}
	d.say("firn serves on %s after %s", server.Kafka(), took.Round(time.Millisecond))
	if err := d.writeAndRead(ctx, server.Kafka(), server.HTTP()); err != nil {
		return fmt.Errorf("%w\nthe server said:\n%s", err, server.Output())
	}
	if usage, err := server.Usage(); err == nil {
		d.say("server   %.1f s of CPU, %d MiB of memory at most", usage.CPU.Seconds(), usage.PeakBytes>>20)
	}
	stopping, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	status, err := server.Terminate(stopping)
	if err == nil && status != 0 {
		err = fmt.Errorf("the server ended with status %d:\n%s", status, server.Output())
	}
	return err
}

// writeAndRead works on a server that is there. Without an HTTP address it does not ask for the
// requests to the bucket.
func (d demo) writeAndRead(ctx context.Context, kafka, http string) error {
	if err := createTopic(ctx, kafka); err != nil {
		return err
	}
	began := time.Now()
	want, bytes, err := d.write(ctx, kafka)
	if err != nil {
		return err
	}
	d.report("kcat wrote", want, bytes, time.Since(began))

	for _, reader := range []struct {
		name string
		read func(ctx context.Context, bootstrap string) (digests, error)
	}{{"franz-go", d.readWithFranz}, {"kafkajs", d.readWithKafkaJS}} {
		began := time.Now()
		got, err := reader.read(ctx, kafka)
		if err == nil {
			err = want.compare(got)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", reader.name, err)
		}
		d.report(reader.name+" read", got, bytes, time.Since(began))
		d.say("         every key's lines are complete and in order")
	}
	if http == "" {
		return nil
	}
	requests, err := objectRequests(ctx, http)
	if err != nil {
		return err
	}
	d.say("bucket   %s", requests)
	return nil
}

func (d demo) report(what string, found digests, bytes int64, took time.Duration) {
	records := found.records()
	d.say("%-14s %d records of %d keys, %.1f MiB, in %s: %.0f records/s, %.1f MiB/s", what, records, len(found),
		float64(bytes)/(1<<20), took.Round(10*time.Millisecond), float64(records)/took.Seconds(),
		float64(bytes)/(1<<20)/took.Seconds())
}

func createTopic(ctx context.Context, bootstrap string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return err
	}
	defer cl.Close()
	size := fmt.Sprint(maxMessageBytes)
	answer, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, -1, map[string]*string{"max.message.bytes": &size},
		topic)
	return errors.Join(err, answer.Err)
}
