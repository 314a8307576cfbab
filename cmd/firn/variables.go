package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// othersVariables are variables that begin with FIRN_ and are nobody's mistake: Kubernetes sets
// them for each Service whose name begins with firn, images and scripts have their own version in
// one, and tests have theirs.
var othersVariables = regexp.MustCompile(`^FIRN_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_.*)?)$|` +
	`^FIRN_(VERSION|HELP|TEST_.*)$`)

// misspeltVariables says of each variable that begins with FIRN_ and stands for no flag that it has
// no effect.
func misspeltVariables(root *cobra.Command, environ []string) (warnings []string) {
	var flags map[string]bool
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "FIRN_") || value == "" || othersVariables.MatchString(name) {
			continue
		}
		if flags == nil {
			flags = variablesOf(root)
		}
		if !flags[name] {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s has no effect: no flag is called so%s", name,
				didYouMean(name, maps.Keys(flags))))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// variablesOf are the variables of all flags of a command and of those below it.
func variablesOf(cmd *cobra.Command) map[string]bool {
	names := map[string]bool{}
	add := func(f *pflag.Flag) { names[environmentName(f.Name)] = true }
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(add)
		c.PersistentFlags().VisitAll(add)
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(cmd)
	return names
}

// warnOfVariables tells of misspelt variables, by a logger where there is one.
func warnOfVariables(cmd *cobra.Command, warn func(string)) {
	for _, warning := range misspeltVariables(cmd.Root(), os.Environ()) {
		warn(warning)
	}
}
