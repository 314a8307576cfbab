package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"firn/coordinator"
	"firn/index"
	"firn/ingest"
	"firn/kafka"
	"firn/segments/file"
)

// node is one running server: the rooms, wired.
type node struct {
	started time.Time
	options *serveOptions
	logger  *slog.Logger

	store  *file.Store
	member *coordinator.Node
	index  *index.Index
	writer *ingest.Writer
	kafka  *kafka.Server

	host string // as clients are told
	port int32
	http net.Listener // or nil
}

// startNode opens the store, recovers the state from it and wires the rooms. On failure it leaves nothing running.
func startNode(ctx context.Context, o *serveOptions, logger *slog.Logger, bound net.Addr, http net.Listener) (_ *node, err error) {
	n := &node{started: time.Now(), options: o, logger: logger, http: http}
	if n.host, n.port, err = o.advertised(bound); err != nil {
		return nil, usagef("--advertise %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	if n.store, err = openStore(o.store); err != nil {
		return nil, err
	}
	if err := n.wire(ctx, registry); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		return nil, errors.Join(err, n.close(closing))
	}
	return n, nil
}

// wire makes the rooms, in the order in which they rest on each other.
func (n *node) wire(ctx context.Context, registry *prometheus.Registry) (err error) {
	o := n.options
	info := coordinator.NodeInfo{ID: o.nodeID, KafkaHost: n.host, KafkaPort: n.port, Zone: o.zone}
	if n.http != nil {
		info.HTTP = n.http.Addr().String()
	}
	n.member, err = coordinator.Join(ctx, coordinator.NodeOptions{
		Store: n.store, Coordinator: coordinator.NewEmbedded(coordinator.EmbeddedOptions{}), Info: info,
		Logger: n.logger, Registerer: registry,
	})
	if err != nil {
		return fmt.Errorf("recovering the log from %s: %w", o.store, err)
	}
	n.index, err = index.New(index.Options{
		Store: n.store, View: n.member.View(), Logger: n.logger, Registerer: registry,
		TailBytes: int64(o.tailBytes), CacheBytes: int64(o.cacheBytes),
	})
	if err != nil {
		return err
	}
	n.writer, err = ingest.New(ingest.Options{
		Store: n.store, Node: n.member, Logger: n.logger, Registerer: registry,
		FlushBytes: int(o.flushBytes), FlushInterval: o.flushInterval, PutBudget: o.putBudget,
		BufferBytes: int64(o.bufferBytes), Sealed: n.index.Keep,
	})
	if err != nil {
		return err
	}
	n.kafka, err = kafka.New(kafka.Options{
		Node: n.member, Writer: n.writer, Index: n.index, Logger: n.logger, Registerer: registry,
		AutoCreateTopics: o.autoCreateTopics, DefaultPartitions: o.defaultPartitions, CompressPlain: o.compressPlain,
	})
	return err
}

// serve serves until ctx ends, which is the ordinary end, or the node cannot go on.
func (n *node) serve(ctx context.Context, kafkaListener net.Listener) error {
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return n.kafka.Serve(serving, kafkaListener) })
	group.Go(func() error {
		select {
		case <-serving.Done():
			return nil
		case <-n.member.Done():
			return fmt.Errorf("this node stops: %w", n.member.Err())
		}
	})
	err := group.Wait()
	if err == nil {
		n.logger.Info("stopping: no more is taken, what was taken is written and acknowledged")
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if closeErr := n.close(closing); err == nil {
		err = closeErr
	}
	return err
}

// close ends the rooms in the reverse order of wire: what was taken is written and acknowledged before the membership ends.
func (n *node) close(ctx context.Context) error {
	var errs []error
	if n.writer != nil {
		errs = append(errs, n.writer.Close(ctx))
	}
	if n.index != nil {
		errs = append(errs, n.index.Close())
	}
	if n.member != nil {
		errs = append(errs, n.member.Close(ctx))
	}
	return errors.Join(append(errs, n.store.Close())...)
}
