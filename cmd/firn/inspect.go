package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/stores"
)

// describers write an object as text for people, by the folder of the bucket that it lies in.
var describers = map[string]func(w io.Writer, key string, object []byte) error{
	"segments":     func(w io.Writer, _ string, object []byte) error { return segments.Describe(w, object) },
	"journal":      coordinator.Describe,
	"snapshots":    coordinator.Describe,
	"incarnations": coordinator.Describe,
	"indexes":      coordinator.Describe,
}

func newInspect(s streams) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:   "inspect OBJECT-URL",
		Short: "Show any object of the bucket in readable form",
		Long: "Show any object of the bucket in readable form: segments, index objects, journal objects, snapshots and " +
			"incarnations.\n" +
			"OBJECT-URL is the bucket's URL and the object's key, for example file:///var/lib/firn/segments/01J…, or a path,\n" +
			"or s3://bucket/prefix/segments/01J…?region=…. A file that was copied out of its bucket is known by its content.",
		Args: exactly("OBJECT-URL"),
		RunE: func(cmd *cobra.Command, args []string) error { return inspect(cmd.Context(), s, args[0], form) },
	}
	form.addFlag(cmd)
	return cmd
}

func inspect(ctx context.Context, s streams, url string, form outputForm) error {
	at, err := stores.Parse(url)
	if err != nil {
		return usagef("OBJECT-URL %w", err)
	}
	path := strings.TrimSuffix(at.Prefix(), "/")
	folder, key, keyError := objectKey(path)
	if keyError != nil && !at.Local() {
		return keyError
	}
	object, err := readObject(ctx, at, key)
	if err != nil {
		return err
	}
	if keyError != nil { // a file that was copied out of its bucket says itself what it is
		if folder = folderOf(object); folder == "" {
			return keyError
		}
		key = folder + "/" + filepath.Base(path)
	}
	var text bytes.Buffer
	// What can be read of a damaged object is shown before what is wrong with it.
	err = describers[folder](&text, key, object)
	found := inspected{Kind: folder, Key: key, Bytes: len(object), Lines: slices.Collect(strings.Lines(text.String()))}
	for i, line := range found.Lines {
		found.Lines[i] = strings.TrimSuffix(line, "\n")
	}
	if folder == "segments" && err == nil {
		found.Segment = inspectSegment(object)
	}
	asText := func(w io.Writer) error { return written(w.Write(text.Bytes())) }
	return errors.Join(form.printWith(s.Out, found, asText), err)
}

// inspected is an object as it is printed. Lines are for people; their words may change.
type inspected struct {
	Kind    string            `json:"kind"`
	Key     string            `json:"key"`
	Bytes   int               `json:"bytes"`
	Segment *inspectedSegment `json:"segment,omitempty"`
	Lines   []string          `json:"lines"`
}

type inspectedSegment struct {
	ID   string         `json:"id"`
	Kind string         `json:"kind"`
	Runs []inspectedRun `json:"runs"`
}

type inspectedRun struct {
	TopicID      string `json:"topic_id"`
	Partition    int32  `json:"partition"`
	Position     int64  `json:"position"`
	Bytes        int64  `json:"bytes"`
	Batches      int    `json:"batches"`
	Records      int64  `json:"records"`
	BaseOffset   int64  `json:"base_offset"` // -1 where the commit decides
	LastOffset   int64  `json:"last_offset"`
	MinTimestamp int64  `json:"min_timestamp"`
	MaxTimestamp int64  `json:"max_timestamp"`
}

func inspectSegment(object []byte) *inspectedSegment {
	index, err := segments.Decode(object)
	if err != nil {
		return nil // its description has said so
	}
	found := &inspectedSegment{ID: index.ID.String(), Kind: index.Kind.String(), Runs: []inspectedRun{}}
	for i := range index.Runs {
		r := &index.Runs[i]
		found.Runs = append(found.Runs, inspectedRun{r.Partition.Topic.String(), r.Partition.Index, r.Position, r.Length,
			len(r.Batches), r.Records, r.BaseOffset, r.LastOffset, r.MinTimestamp, r.MaxTimestamp})
	}
	return found
}

// folderOf is the folder of a bucket in which such an object lies, by how it begins or ends; empty
// if it is none. A journal object that carries a segment begins as the segment does.
func folderOf(object []byte) string {
	if bytes.HasSuffix(object, []byte("FIRNCARR")) {
		return "journal"
	}
	for magic, folder := range map[string]string{"FIRNSEG\n": "segments", "FIRNJRNL": "journal", "FIRNSNAP": "snapshots",
		"FIRNINCR": "incarnations", "FIRNINDX": "indexes"} {
		if bytes.HasPrefix(object, []byte(magic)) {
			return folder
		}
	}
	return ""
}

// readObject reads the object that lies at a place: a file, which may have been copied out of its
// bucket, or an object in a bucket.
func readObject(ctx context.Context, at stores.Location, key string) ([]byte, error) {
	if at.Local() {
		object, err := os.ReadFile(at.Directory())
		if pathError := new(os.PathError); errors.As(err, &pathError) {
			return nil, fmt.Errorf("%s: %w", at.Directory(), pathError.Err)
		}
		return object, err
	}
	b, err := at.WithPrefix(strings.TrimSuffix(at.Prefix(), key+"/")).Open(ctx)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return b.Get(ctx, key, 0, -1)
}

// objectKey finds the key in an object's path: it begins at the last folder that holds objects.
func objectKey(path string) (folder, key string, err error) {
	elements := strings.Split(filepath.ToSlash(path), "/")
	for i, element := range slices.Backward(elements[:len(elements)-1]) {
		if describers[element] != nil {
			return element, strings.Join(elements[i:], "/"), nil
		}
	}
	return "", "", fmt.Errorf("%s is no object of a bucket: those lie in segments/, indexes/, journal/, snapshots/ and "+
		"incarnations/", path)
}
