package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// verdict is what one check of doctor came to.
type verdict struct {
	level  level
	detail string
	advice string // what to do; empty if all is well
}

type level string

const (
	ok   level = "ok"
	warn level = "warn"
	fail level = "fail"
)

func fine(format string, args ...any) verdict {
	return verdict{level: ok, detail: fmt.Sprintf(format, args...)}
}

func bad(advice, format string, args ...any) verdict {
	return verdict{level: fail, detail: fmt.Sprintf(format, args...), advice: advice}
}

func doubtful(advice, format string, args ...any) verdict {
	return verdict{level: warn, detail: fmt.Sprintf(format, args...), advice: advice}
}

// finding is a verdict under the name of what was checked.
type finding struct {
	name string
	verdict
}

// printedFinding is a finding as it is printed.
type printedFinding struct {
	Level  level  `json:"level"`
	Check  string `json:"check"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

func newDoctor(s streams) *cobra.Command {
	o := &serveOptions{}
	var audit bool
	var form outputForm
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that a deployment needs, and say what to fix",
		Long: "Check everything that 'firn serve' with the same flags needs, and say what to fix: one line each, ok, warn\n" +
			"or fail. It leaves nothing behind. The exit status is 1 if a check fails. With --audit it lists the bucket\n" +
			"instead. It says of each object why it is there, and at the end how many objects there are of each kind, how\n" +
			"many are leaked (nothing needs them, and they should be gone by now) and how many are missing. The exit\n" +
			"status is 1 if any is leaked or missing.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var problems []error
			o.checkNodeFlags(func(flag string, err error) {
				if err != nil {
					problems = append(problems, fmt.Errorf("--%s %w", flag, err))
				}
			})
			if len(problems) > 0 {
				return &usageError{errors.Join(problems...)}
			}
			if audit {
				return auditBucket(cmd.Context(), s, o, form)
			}
			return doctor(cmd.Context(), s, o, form)
		},
	}
	o.addNodeFlags(cmd.Flags())
	cmd.Flags().BoolVar(&audit, "audit", false, "say of each object in the bucket why it is there")
	form.addFlag(cmd)
	return cmd
}

// doctor prints each finding as it is made; JSON and YAML at the end.
func doctor(ctx context.Context, s streams, o *serveOptions, form outputForm) error {
	failed, findings := 0, []printedFinding{}
	for f := range examine(ctx, o) {
		if f.level == fail {
			failed++
		}
		findings = append(findings, printedFinding{f.level, f.name, f.detail, f.advice})
		if form == asTable {
			line := fmt.Sprintf("%-4s  %-14s %s", f.level, f.name, f.detail)
			if f.advice != "" {
				line += ": " + f.advice
			}
			if _, err := fmt.Fprintln(s.Out, line); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
	}
	if form != asTable {
		if err := form.print(s.Out, findings); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the checks failed", failed)
	}
	return nil
}

// examine yields all findings, in the order in which one would mend them.
func examine(ctx context.Context, o *serveOptions) func(yield func(finding) bool) {
	return func(yield func(finding) bool) {
		for _, f := range []finding{{"open files", checkOpenFiles()}, {"clock", checkClock()}} {
			if !yield(f) {
				return
			}
		}
		for f := range examineStore(ctx, o) {
			if !yield(f) {
				return
			}
		}
		for _, what := range o.exposed() {
			if !yield(finding{"exposed", doubtful(openAdvice, "%s", what)}) {
				return
			}
		}
		for _, l := range o.kafkaListeners() {
			if !yield(finding{l.flag, checkKafkaAddress(ctx, l)}) {
				return
			}
		}
		if o.httpAddr == noHTTP {
			return
		}
		if !yield(finding{"http-addr", checkHTTPAddress(ctx, o.https, o.httpAddr)}) {
			return
		}
		for _, f := range examineProducers(ctx, o.https, o.httpAddr) {
			if !yield(f) {
				return
			}
		}
	}
}
