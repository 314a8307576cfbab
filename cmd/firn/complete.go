package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"firn.dev/coordinator/topicconfig"
	"firn.dev/segments/batch"
)

// Bounds of a completion: somebody waits for it, and reads it.
const (
	completionTimeout = 2 * time.Second
	maxCompletions    = 1000
)

// complete completes an argument or a flag with names that a server knows. Without a server there
// are none.
func (b *bootstrap) complete(list func(context.Context, *kadm.Client) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const nothing = cobra.ShellCompDirectiveNoFileComp
		if fromEnvironment(cmd.Flags()) != nil || fromProfile(cmd, func(string) {}) != nil {
			return nil, nothing
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		ctx, adm, done, err := b.admin(ctx)
		if err != nil {
			return nil, nothing
		}
		defer done()
		names, err := list(ctx, adm)
		if err != nil {
			return nil, nothing
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			return !strings.HasPrefix(name, begun) || name != printable(name)
		})
		slices.Sort(names)
		return names[:min(len(names), maxCompletions)], nothing
	}
}

func listTopicNames(ctx context.Context, adm *kadm.Client) ([]string, error) {
	topics, err := adm.ListTopics(ctx)
	return slices.Collect(maps.Keys(topics)), err
}

func listGroupNames(ctx context.Context, adm *kadm.Client) ([]string, error) {
	groups, err := adm.ListGroups(ctx)
	return slices.Collect(maps.Keys(groups)), err
}

func listTransactionalIDs(ctx context.Context, adm *kadm.Client) ([]string, error) {
	transactions, err := adm.ListTransactions(ctx, nil, nil)
	return slices.Collect(maps.Keys(transactions)), err
}

// firstArg completes the first argument alone.
func firstArg(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, begun)
	}
}

// completeFlag completes the value of a flag, which has to exist.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err)
	}
}

// fixedWords completes with words.
func fixedWords(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// completeConfigs completes names of topic configs, with something behind them.
func completeConfigs(behind string) cobra.CompletionFunc {
	var names []string
	for _, d := range topicconfig.All() {
		names = append(names, d.Name+behind)
	}
	return cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
}

// completePlaces completes --from, --to and --before.
var completePlaces = fixedWords("earliest", "latest")

// completeCodecs completes --compression.
func completeCodecs() cobra.CompletionFunc {
	var names []string
	for _, c := range []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd} {
		names = append(names, c.String())
	}
	return fixedWords(names...)
}
