package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a mistake in the call itself, as against something that went wrong: exit status 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef returns a usageError.
func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// newRoot returns the whole command line.
func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "firn",
		Short: "A Kafka-compatible log whose only disk is a bucket",
		Long: "Firn is a Kafka-compatible log whose only disk is a bucket.\n\n" +
			"Every flag can be given as an environment variable too: --kafka-addr is FIRN_KAFKA_ADDR.",
		Version:       thisBuild().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Name() != "serve" { // which logs it
				warnOfVariables(cmd, func(warning string) { s.note("%s: warning: %s", cmd.CommandPath(), warning) })
			}
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			return fromProfile(cmd, func(warning string) { s.note("%s: warning: %s", cmd.CommandPath(), warning) })
		},
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(flagProblem)
	root.AddCommand(
		newServe(s),
		newTopic(s),
		newGroup(s),
		newUser(s),
		newACL(s),
		newQuota(s),
		newTxn(s),
		newProduce(s),
		newConsume(s),
		newReplay(s),
		newInspect(s),
		newProfile(s),
		newTop(s),
		newBench(s),
		newDoctor(s),
		newRecover(s),
		newHealth(s),
		newVersion(s),
		newMan(),
	)
	onlySubcommands(root)
	return root
}

// flagProblem is what is wrong with the flags of a call.
func flagProblem(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && len(unknown.GetSpecifiedName()) > 1 {
		return usagef("%w%s", err, didYouMean("--"+unknown.GetSpecifiedName(), func(yield func(string) bool) {
			for name := range flagNames(cmd.Flags()) {
				if !yield("--" + name) {
					return
				}
			}
		}))
	}
	return &usageError{err}
}

// ofServer makes a command whose subcommands speak to a server.
func ofServer(s streams, use, short string, subs ...func(streams, *bootstrap) *cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	b := &bootstrap{}
	b.addFlag(cmd)
	for _, sub := range subs {
		cmd.AddCommand(sub(s, b))
	}
	onlySubcommands(cmd)
	return cmd
}

// onlySubcommands makes a command that does nothing by itself say what it is missing.
func onlySubcommands(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("which subcommand? One of: %s", strings.Join(subcommands(cmd), ", "))
		}
		if near, found := nearest(args[0], slices.Values(subcommands(cmd))); found {
			return usagef("unknown subcommand %q; did you mean %s?", args[0], near)
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return usagef("unknown subcommand %q; did you mean %s?", args[0], strings.Join(near, " or "))
		}
		return usagef("unknown subcommand %q; there are: %s", args[0], strings.Join(subcommands(cmd), ", "))
	}
	cmd.SuggestionsMinimumDistance = 2
}

func subcommands(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

// exactly wants these positional arguments, by name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s is missing", strings.Join(names[len(args):], " and "))
		}
		if len(args) > len(names) {
			return usagef("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// environmentName is the variable that stands for a flag.
func environmentName(flag string) string {
	return "FIRN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromVariable marks flags that fromEnvironment has set.
const fromVariable = "variable"

// fromEnvironment sets the flags that the command line left alone from their variables. An empty
// variable counts as absent.
func fromEnvironment(flags *pflag.FlagSet) error {
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := environmentName(f.Name)
		value := os.Getenv(name)
		if f.Changed || value == "" || f.Name == "help" || f.Name == "version" {
			return
		}
		err := flags.Set(f.Name, value)
		if err == nil {
			err = flags.SetAnnotation(f.Name, fromVariable, []string{name})
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("environment variable %s=%q: %w", name, value, errors.Unwrap(err)))
		}
	})
	if len(problems) > 0 {
		return &usageError{errors.Join(problems...)}
	}
	return nil
}
