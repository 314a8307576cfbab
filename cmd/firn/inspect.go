package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

func newInspect(s streams) *cobra.Command {
	return &cobra.Command{Use: "inspect OBJECT-URL", RunE: func(cmd *cobra.Command, args []string) error {
		_, err := os.ReadFile(args[0])
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: there is no such object", args[0])
		}
		return err
	}}
}
