package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firn.dev/test/process"
)

// peer is a server that is measured.
type peer struct {
	name    string
	command []string
	prepare func(ctx context.Context, spec process.Spec) error // of a fresh directory; may be nil
	variant bool                                               // of another peer, that differs in throughput alone
	secure  func(f tlsFiles) peer                              // the same with a listener of TLS beside; nil: none
}

// newPeers builds what has to be built.
func newPeers(ctx context.Context, opts options, dir string) ([]peer, error) {
	wanted := func(p peer) bool { return strings.Contains(p.name, opts.only) }
	firn := peer{name: "firn", command: process.Firn(opts.firn)}
	if opts.firn == "" && wanted(firn) {
		bin, err := process.Build(ctx, dir, "firn.dev/cmd/firn")
		if err != nil {
			return nil, err
		}
		firn.command = process.Firn(bin)
	}
	if opts.profiles != "" {
		firn.command = append(firn.command, "--pprof")
	}
	firn.secure = func(f tlsFiles) peer { return peer{name: firn.name, command: f.onlyListeners(firn.command)} }
	kfake, err := process.Build(ctx, dir, "firn.dev/test/bench/kfake")
	if err != nil {
		return nil, err
	}
	plain := peer{name: "firn --compress-plain none",
		command: append(slices.Clip(firn.command), "--compress-plain", "none"), variant: true}
	peers := []peer{
		firn,
		plain,
		{name: "kfake, SyncWrites", command: []string{kfake, "--kafka-addr", "{kafka}", "--data", "{dir}"}},
	}
	if opts.kafkaLib != "" {
		peers = append(peers, apache(opts.kafkaLib, "Apache Kafka, fsync each", "log.flush.interval.messages=1\n"),
			apache(opts.kafkaLib, "Apache Kafka, no fsync", ""))
	}
	peers = slices.DeleteFunc(peers, func(p peer) bool { return !wanted(p) })
	if len(peers) == 0 {
		return nil, fmt.Errorf("--only: no server's name holds %q", opts.only)
	}
	return peers, nil
}

// apache is Apache Kafka in KRaft mode, one process. Out of the box it acknowledges before its data
// is on disk: replicas are its durability.
func apache(lib, name, more string) peer {
	return peer{
		name:    name,
		command: process.Apache(lib),
		prepare: func(ctx context.Context, spec process.Spec) error { return process.FormatApache(ctx, lib, spec, more) },
		secure:  func(f tlsFiles) peer { return apache(lib, name, more+f.properties()) },
	}
}

// fresh starts a peer on a directory that nobody has used.
func (b *bench) fresh(ctx context.Context, p peer) (*process.Process, process.Spec, error) {
	server, spec, _, err := b.freshTimed(ctx, p)
	return server, spec, err
}

// freshTimed says as well how long it took from exec until the first answer.
func (b *bench) freshTimed(ctx context.Context, p peer) (*process.Process, process.Spec, time.Duration, error) {
	b.runs++
	spec, err := process.NewSpec(p.command, filepath.Join(b.root, fmt.Sprint(b.runs)))
	if err != nil {
		return nil, spec, 0, err
	}
	if p.prepare != nil {
		if err := p.prepare(ctx, spec); err != nil {
			return nil, spec, 0, err
		}
	}
	server, err := process.Start(spec)
	if err != nil {
		return nil, spec, 0, err
	}
	took, err := b.ready(ctx, server)
	if err != nil {
		server.Kill()
		return nil, spec, 0, err
	}
	return server, spec, took, nil
}

// discard ends a server and removes its data.
func discard(server *process.Process, spec process.Spec) error {
	server.Kill()
	return os.RemoveAll(spec.Dir)
}
