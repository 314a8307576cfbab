// Package kafka speaks the Kafka wire protocol. Each API key has a file of its own, which says the versions served and how it behaves, and
// registers itself; ApiVersions answers from that register.
package kafka

import (
	"context"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"firn/coordinator"
	"firn/index"
	"firn/ingest"
)

// Options is what a Server needs.
type Options struct {
	Node       *coordinator.Node
	Writer     *ingest.Writer
	Index      *index.Index
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	AutoCreateTopics  bool
	DefaultPartitions int32
	CompressPlain     string // "lz4" (default) or "none": what becomes of batches that arrive uncompressed
}

// Server serves Kafka clients.
type Server struct {
	opts Options
}

// New returns a server.
func New(opts Options) (*Server, error) { return &Server{opts: opts}, nil }

// Serve accepts connections until ctx ends; then it accepts no more, answers what is under way and returns.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { panic("unwritten") }
