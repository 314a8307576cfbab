package main

import (
	"bufio"
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
	return &cobra.Command{
		Use:   "inspect OBJECT-URL",
		Short: "Show any object of the bucket in readable form",
		Long: "Show any object of the bucket in readable form: segments, index objects, journal objects, snapshots and " +
			"incarnations.\n" +
			"OBJECT-URL is the bucket's URL and the object's key, for example file:///var/lib/firn/segments/01J…, or a path,\n" +
			"or s3://bucket/prefix/segments/01J…?region=…",
		Args: exactly("OBJECT-URL"),
		RunE: func(cmd *cobra.Command, args []string) error { return inspect(cmd.Context(), s, args[0]) },
	}
}

func inspect(ctx context.Context, s streams, url string) error {
	at, err := stores.Parse(url)
	if err != nil {
		return usagef("OBJECT-URL %w", err)
	}
	folder, key, err := objectKey(strings.TrimSuffix(at.Prefix(), "/"))
	if err != nil {
		return err
	}
	object, err := readObject(ctx, at, key)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(s.Out)
	// What can be read of a damaged object is shown before what is wrong with it.
	err = describers[folder](out, key, object)
	return errors.Join(out.Flush(), err)
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
