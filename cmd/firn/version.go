package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

func newVersion(s streams) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print which build this is",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			build := thisBuild()
			return form.printWith(s.Out, build, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "firn version", build) // as firn --version
				return err
			})
		},
	}
	form.addFlag(cmd)
	return cmd
}

// released is the version of a release, which its build sets with -ldflags.
var released string

// build describes a build.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (b build) String() string {
	revision := ""
	if b.Revision != "" {
		revision = " " + b.Revision
	}
	return fmt.Sprintf("%s%s (%s, %s)", b.Version, revision, b.Go, b.Platform)
}

// thisBuild is this build by what the Go tool wrote into it.
func thisBuild() build {
	b := build{Version: cmp.Or(released, "devel"), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "" && v != "(devel)" && released == "" {
			b.Version = v
		}
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				b.Revision = setting.Value
			}
		}
	}
	return b
}

// metric is a build for /metrics.
func (b build) metric() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "firn_build_info", Help: "1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go}})
	g.Set(1)
	return g
}
