package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// exportedGroup is a group's offsets in a file.
type exportedGroup struct {
	Group   string           `json:"group"`
	Offsets []exportedOffset `json:"offsets"`
}

// exportedOffset is one of them, and a line of ndjson.
type exportedOffset struct {
	Group     string `json:"group,omitempty"` // on a line
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Metadata  string `json:"metadata,omitempty"`
}

func newGroupExport(s streams, b *bootstrap) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "export NAME",
		Short: "Print the offsets that a group has committed, for 'firn group import'",
		Args:  exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "json" && format != "ndjson" {
				return usagef("--format %q is not one of json, ndjson", format)
			}
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			found, err := exportGroup(ctx, adm, args[0])
			if err != nil {
				return err
			}
			if format == "json" {
				return encodeJSON(s.Out, found, "  ")
			}
			for _, o := range found.Offsets {
				o.Group = found.Group
				if err := encodeJSON(s.Out, o, ""); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "json", "`how` they are written: json or ndjson (an offset a line)")
	cmd.ValidArgsFunction = firstArg(b.complete(listGroupNames))
	completeFlag(cmd, "format", fixedWords("json", "ndjson"))
	return cmd
}

func exportGroup(ctx context.Context, adm *kadm.Client, group string) (exportedGroup, error) {
	found := exportedGroup{Group: group, Offsets: []exportedOffset{}}
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return found, explainGroup(group, err)
	}
	for _, o := range committed.Sorted() {
		if o.Err != nil {
			return found, explain(o.Topic, o.Err, "")
		}
		if o.At >= 0 {
			found.Offsets = append(found.Offsets, exportedOffset{"", o.Topic, o.Partition, o.At, o.Metadata})
		}
	}
	if len(found.Offsets) == 0 {
		return found, fmt.Errorf("group %q has committed nothing", group)
	}
	return found, nil
}

// Bounds of what import reads.
const (
	maxImportBytes   = 64 << 20
	maxImportOffsets = 200_000
)

func newGroupImport(s streams, b *bootstrap) *cobra.Command {
	var o offsetSetting
	var file string
	cmd := &cobra.Command{
		Use:   "import NAME",
		Short: "Set the offsets of a group to those that 'firn group export' printed",
		Long: "Set the offsets of a group to those that 'firn group export' printed, as JSON or ndjson, whatever group\n" +
			"they are of. The group must have no members. The new offsets are printed; with --dry-run they are not set.\n" +
			"Offsets that a partition does not have are an error, and nothing is set.",
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.group = args[0]
			offsets, err := readOffsets(s, file)
			if err != nil {
				return err
			}
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			moved, err := checkOffsets(ctx, adm, o.group, offsets)
			if err != nil {
				return err
			}
			return o.setOffsets(ctx, s, adm, moved)
		},
	}
	cmd.Flags().StringVar(&file, "file", "-", "`file` with the offsets, or - for standard input")
	o.addFlags(cmd)
	cmd.ValidArgsFunction = firstArg(b.complete(listGroupNames))
	return cmd
}

// readOffsets reads what export has printed.
func readOffsets(s streams, file string) ([]exportedOffset, error) {
	in := s.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxImportBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxImportBytes:
		return nil, fmt.Errorf("there are more than %d bytes of offsets", maxImportBytes)
	}
	var offsets []exportedOffset
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		var one struct {
			exportedOffset
			Offsets []exportedOffset `json:"offsets"`
		}
		err := json.UnmarshalDecode(dec, &one, json.RejectUnknownMembers(true))
		switch {
		case errors.Is(err, io.EOF) && len(offsets) == 0:
			return nil, errors.New("there are no offsets to import")
		case errors.Is(err, io.EOF):
			return offsets, nil
		case err != nil:
			return nil, fmt.Errorf("these are no offsets as 'firn group export' prints them: %w", err)
		case one.Topic != "":
			offsets = append(offsets, one.exportedOffset)
		default:
			offsets = append(offsets, one.Offsets...)
		}
		if len(offsets) > maxImportOffsets {
			return nil, fmt.Errorf("there are more than %d offsets", maxImportOffsets)
		}
	}
}

// checkOffsets finds out what the offsets change. All have to be there.
func checkOffsets(ctx context.Context, adm *kadm.Client, group string,
	offsets []exportedOffset) ([]movedOffset, error) {
	topics := map[string]bool{}
	for _, o := range offsets {
		topics[o.Topic] = true
	}
	for topic := range topics {
		if _, err := lookUp(ctx, adm, topic); err != nil {
			return nil, err
		}
	}
	names := slices.Collect(maps.Keys(topics))
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	before, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return nil, explainGroup(group, err)
	}
	moved := []movedOffset{}
	for _, o := range offsets {
		end, there := ends.Lookup(o.Topic, o.Partition)
		if !there {
			return nil, fmt.Errorf("topic %q has partitions 0 to %d, not %d", o.Topic, len(ends[o.Topic])-1, o.Partition)
		}
		start, _ := starts.Lookup(o.Topic, o.Partition)
		if err := explain(o.Topic, cmp.Or(start.Err, end.Err), ""); err != nil {
			return nil, err
		}
		if o.Offset < start.Offset || o.Offset > end.Offset {
			return nil, fmt.Errorf("topic %q, partition %d: offset %d is not between %d and %d, where it "+
				"begins and ends; nothing is set", o.Topic, o.Partition, o.Offset, start.Offset, end.Offset)
		}
		m := movedOffset{Topic: o.Topic, Partition: o.Partition, Now: o.Offset, metadata: o.Metadata}
		if c, there := before.Lookup(o.Topic, o.Partition); there && c.At >= 0 {
			m.Before = &c.At
		}
		moved = append(moved, m)
	}
	return moved, nil
}
