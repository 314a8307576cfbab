package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"github.com/spf13/cobra"
)

// openAdvice is what to do about a port that others reach.
const openAdvice = "let only clients that you trust reach it, or see docs/operating/security.md"

func newServe(s streams) *cobra.Command {
	o := &serveOptions{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve a bucket to Kafka clients",
		Long: "Serve a bucket to Kafka clients until SIGTERM or an interrupt. Then accept no more records, write and " +
			"acknowledge\n" +
			"those that were accepted, and end with status 0. A second signal ends the process at once.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			logger := o.logger(s)
			quietLibraries(logger)
			warnOfVariables(cmd, func(warning string) { logger.Warn(warning) })
			return serve(cmd.Context(), s, o, logger)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// serve runs a node until ctx ends or it cannot go on.
func serve(ctx context.Context, s streams, o *serveOptions, logger *slog.Logger) error {
	boundMemory()
	// The ports come first: a second server by mistake fails here, before it takes the bucket over
	// from the first.
	certificates, err := o.certificates(logger)
	if err != nil {
		return err
	}
	users, err := o.users(logger)
	if err != nil {
		return err
	}
	doors, err := o.openDoors(ctx)
	if err != nil {
		return err
	}
	defer closeDoors(doors)
	var httpListener net.Listener
	if o.httpAddr != noHTTP {
		if httpListener, err = listen(ctx, "http-addr", o.httpAddr); err != nil {
			return err
		}
		defer httpListener.Close()
	}
	var adminListener net.Listener
	if o.adminAddr != noHTTP {
		if adminListener, err = listen(ctx, "admin-addr", o.adminAddr); err != nil {
			return err
		}
		defer adminListener.Close()
	}
	listeners := []web{{httpListener, o.httpTLS(certificates)}, {adminListener, nil}}
	n, err := persist(ctx, logger, listeners, func(retry func(error) bool) (*node, error) {
		return startNode(ctx, o, logger, retry, certificates, users, doors, httpListener, adminListener)
	})
	if err != nil || n == nil {
		return err
	}
	if o.logFormat == "json" {
		n.logBanner(logger)
	} else {
		s.note("%s", n.banner())
	}
	for _, what := range o.exposed() {
		logger.Warn("open to strangers: "+what, "advice", openAdvice)
	}
	return n.serve(ctx, listenersOf(doors, certificates))
}

// listen binds the address that a flag gives.
func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--%s %s: %w: stop the process that has it ('firn doctor' says what answers there), "+
			"or give another", flag, addr, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("--%s %s: this user may not listen there; give a port from 1024 on", flag, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("--%s %s: this machine has no such address; 127.0.0.1 is itself, 0.0.0.0 all of its addresses",
			flag, addr)
	}
	if op := new(net.OpError); errors.As(err, &op) {
		err = op.Err
	}
	return nil, fmt.Errorf("--%s %s: %w", flag, addr, err)
}
