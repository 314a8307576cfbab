package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"firn.dev/replay"
	"firn.dev/segments/stores"
)

// destination is where --out leads.
type destination struct {
	bucket *stores.Location // a directory or a bucket
	path   string           // a file; empty: standard output
	silent bool             // nobody wants to see progress: standard output and error are one terminal
}

// openDestination finds out what out names. An empty one is standard output.
func openDestination(out string, s streams) (*destination, error) {
	if out == "" {
		return &destination{silent: s.terminal() && outputIsTerminal(s)}, nil
	}
	info, err := os.Stat(out)
	isDirectory := err == nil && info.IsDir() || strings.HasSuffix(out, "/") ||
		strings.HasSuffix(out, string(filepath.Separator))
	if !strings.Contains(out, "://") && !isDirectory {
		if err == nil && info.Mode().IsRegular() {
			return nil, fmt.Errorf("--out %s: it exists; remove it, or name another", out)
		}
		return &destination{path: out}, nil
	}
	p, err := stores.Parse(out)
	if err != nil {
		return nil, usagef("--out %w", err)
	}
	return &destination{bucket: &p}, nil
}

func outputIsTerminal(s streams) bool {
	o, ok := s.Out.(output)
	return ok && streams{Err: o.Writer}.terminal()
}

// stream opens a file, or standard output. The file appears under its name when it is committed; a
// device or a pipe is written to as it is.
func (d *destination) stream(s streams) (w io.Writer, commit func() error, abort func(), err error) {
	if d.path == "" {
		return s.Out, func() error { return nil }, func() {}, nil
	}
	if info, err := os.Stat(d.path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(d.path, os.O_WRONLY, 0)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("--out: %w", err)
		}
		return f, f.Close, func() { f.Close() }, nil
	}
	// Unlike os.CreateTemp this leaves the file's mode to the umask.
	f, err := os.OpenFile(d.path+".part-"+rand.Text(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("--out: %w", err)
	}
	commit = func() error {
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		return os.Rename(f.Name(), d.path)
	}
	abort = func() { // after a commit there is nothing left to close or remove
		f.Close()
		os.Remove(f.Name())
	}
	return f, commit, abort, nil
}

// formatOf is the format that the flags ask for.
func (o *replayOptions) formatOf(schema *replay.Schema) (replay.Format, error) {
	switch o.format {
	case "ndjson":
		return replay.NDJSON(o.topic), nil
	case "raw":
		return replay.Raw(), nil
	case "parquet":
		f, err := replay.Parquet(replay.ParquetOptions{Compression: o.compression, Schema: schema, Memory: int64(o.memory)})
		if err != nil {
			return f, usagef("--compression %w", err)
		}
		return f, nil
	}
	return replay.Format{}, usagef("--format %q is not one of ndjson, raw, parquet", o.format)
}

// schemaOf is the schema that --schema asks for; nil if it does not.
func (o *replayOptions) schemaOf(ctx context.Context, r *replay.Replay) (*replay.Schema, error) {
	switch o.schema {
	case "":
		return nil, nil
	case "infer":
		return r.InferSchema(ctx, o.sample)
	}
	text, err := os.ReadFile(o.schema)
	if err != nil {
		return nil, fmt.Errorf("--schema: %w", err)
	}
	schema, err := replay.ParseSchema(text)
	if err != nil {
		return nil, fmt.Errorf("--schema %s: %w", o.schema, err)
	}
	return schema, nil
}
