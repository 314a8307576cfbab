package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"firn/coordinator"
	"firn/segments"
)

// describers write an object as text for people, by the folder of the bucket that it lies in.
var describers = map[string]func(w io.Writer, key string, object []byte) error{
	"segments":     func(w io.Writer, _ string, object []byte) error { return segments.Describe(w, object) },
	"journal":      coordinator.Describe,
	"snapshots":    coordinator.Describe,
	"incarnations": coordinator.Describe,
}

func newInspect(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect OBJECT-URL",
		Short: "Show any object of the bucket in readable form",
		Long: "Show any object of the bucket in readable form: segments, journal objects, snapshots and incarnations.\n" +
			"OBJECT-URL is the bucket's URL and the object's key, for example file:///var/lib/firn/segments/01J…, or a path.",
		Args: exactly("OBJECT-URL"),
		RunE: func(_ *cobra.Command, args []string) error { return inspect(s, args[0]) },
	}
}

func inspect(s streams, url string) error {
	path, err := storeDirectory(url)
	if err != nil {
		return usagef("OBJECT-URL %w", err)
	}
	folder, key, err := objectKey(path)
	if err != nil {
		return err
	}
	object, err := os.ReadFile(path)
	if pathError := new(os.PathError); errors.As(err, &pathError) {
		return fmt.Errorf("%s: %w", path, pathError.Err)
	}
	out := bufio.NewWriter(s.Out)
	// What can be read of a damaged object is shown before what is wrong with it.
	err = describers[folder](out, key, object)
	return errors.Join(out.Flush(), err)
}

// objectKey finds the key in an object's path: it begins at the last folder that holds objects.
func objectKey(path string) (folder, key string, err error) {
	elements := strings.Split(filepath.ToSlash(path), "/")
	for i, element := range slices.Backward(elements[:len(elements)-1]) {
		if describers[element] != nil {
			return element, strings.Join(elements[i:], "/"), nil
		}
	}
	return "", "", fmt.Errorf("%s is no object of a bucket: those lie in segments/, journal/, snapshots/ and incarnations/", path)
}
