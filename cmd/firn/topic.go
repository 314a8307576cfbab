package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/segments"
)

func newTopic(s streams) *cobra.Command {
	return ofServer(s, "topic", "Create, list, describe, alter, trim and delete topics",
		newTopicCreate, newTopicList, newTopicDescribe, newTopicAlter, newTopicTrim, newTopicDelete)
}

// topicConfigs is the repeatable flag --config k=v.
type topicConfigs []string

func (c *topicConfigs) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar((*[]string)(c), "config", nil, "topic config as `name=value`; may be repeated")
	completeFlag(cmd, "config", completeConfigs("="))
}

// each calls f with every config. An element without "=" is a usage error.
func (c topicConfigs) each(f func(name, value string)) error {
	for _, config := range c {
		name, value, ok := strings.Cut(config, "=")
		if !ok || name == "" {
			return usagef("--config %q is not name=value", config)
		}
		f(name, value)
	}
	return nil
}

func newTopicCreate(s streams, b *bootstrap) *cobra.Command {
	var partitions int32
	var configs topicConfigs
	var ifNotExists bool
	cmd := &cobra.Command{
		Use:   "create NAME --partitions N",
		Short: "Create a topic",
		Args:  exactly("NAME"),
	}
	cmd.Flags().Int32Var(&partitions, "partitions", 0, "how many partitions; 0 asks for the server's --default-partitions")
	cmd.Flags().BoolVar(&ifNotExists, "if-not-exists", false, "a topic of that name that exists is no error")
	configs.addFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values := map[string]*string{}
		if err := configs.each(func(name, value string) { values[name] = &value }); err != nil {
			return err
		}
		switch {
		case partitions < 0:
			return usagef("--partitions %d: a topic has at least one", partitions)
		case partitions == 0:
			partitions = -1 // Kafka's word for "the default"
		}
		ctx, adm, done, err := b.admin(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		if ifNotExists {
			if topics, err := adm.ListTopics(ctx, args[0]); err == nil && topics.Has(args[0]) {
				s.note("topic %s exists already", args[0])
				return nil
			}
		}
		created, err := adm.CreateTopic(ctx, partitions, -1, values, args[0])
		if err := explain(args[0], err, created.ErrMessage); err != nil {
			return err
		}
		s.note("created topic %s", args[0])
		return nil
	}
	return cmd
}

// listedTopic is a topic in a list.
type listedTopic struct {
	Topic      string `json:"topic"`
	ID         string `json:"id"`
	Partitions int    `json:"partitions"`
}

func newTopicList(s streams, b *bootstrap) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the names of all topics, one a line",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			topics, err := adm.ListTopics(ctx)
			if err != nil {
				return err
			}
			list := []listedTopic{}
			for _, t := range topics.Sorted() {
				list = append(list, listedTopic{t.Topic, segments.TopicID(t.ID).String(), len(t.Partitions)})
			}
			return form.printWith(s.Out, list, func(w io.Writer) error {
				for _, t := range list {
					fmt.Fprintln(w, t.Topic)
				}
				return nil
			})
		},
	}
	form.addFlag(cmd)
	return cmd
}

func newTopicDelete(s streams, b *bootstrap) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a topic and all its records",
		Args:              exactly("NAME"),
		ValidArgsFunction: firstArg(b.complete(listTopicNames)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			deleted, err := adm.DeleteTopic(ctx, args[0])
			if err := explain(args[0], err, deleted.ErrMessage); err != nil {
				return err
			}
			s.note("deleted topic %s", args[0])
			return nil
		},
	}
}

func newTopicAlter(s streams, b *bootstrap) *cobra.Command {
	var partitions int
	var configs topicConfigs
	var reset []string
	cmd := &cobra.Command{
		Use:   "alter NAME [--config k=v]… [--reset k]… [--partitions N]",
		Short: "Set and reset a topic's configs, add partitions",
		Args:  exactly("NAME"),
	}
	cmd.Flags().IntVar(&partitions, "partitions", 0, "the new number of partitions: it can only grow")
	cmd.Flags().StringArrayVar(&reset, "reset", nil, "`name` of a config that goes back to its default; may be repeated")
	configs.addFlag(cmd)
	cmd.ValidArgsFunction = firstArg(b.complete(listTopicNames))
	completeFlag(cmd, "reset", completeConfigs(""))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var changes []kadm.AlterConfig
		err := configs.each(func(name, value string) {
			changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
		})
		if err != nil {
			return err
		}
		for _, name := range reset {
			changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
		}
		if len(changes) == 0 && partitions == 0 {
			return usagef("nothing to alter: give --config, --reset or --partitions")
		}
		ctx, adm, done, err := b.admin(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		if _, err := lookUp(ctx, adm, args[0]); err != nil {
			return err
		}
		if err := alterTopic(ctx, adm, args[0], changes, partitions); err != nil {
			return err
		}
		s.note("altered topic %s", args[0])
		return nil
	}
	return cmd
}

func alterTopic(ctx context.Context, adm *kadm.Client, topic string, changes []kadm.AlterConfig, partitions int) error {
	if len(changes) > 0 {
		altered, err := adm.AlterTopicConfigs(ctx, changes, topic)
		if err != nil {
			return err
		}
		for _, answer := range altered {
			if err := explain(topic, answer.Err, answer.ErrMessage); err != nil {
				return err
			}
		}
	}
	if partitions == 0 {
		return nil
	}
	grown, err := adm.UpdatePartitions(ctx, partitions, topic)
	if err != nil {
		return err
	}
	return explain(topic, grown[topic].Err, grown[topic].ErrMessage)
}

// describedTopic is what describe says of a topic.
type describedTopic struct {
	Topic      string               `json:"topic"`
	ID         string               `json:"id"`
	Partitions []describedPartition `json:"partitions"`
	Configs    map[string]string    `json:"configs" table:"config"` // that were set
}

type describedPartition struct {
	Partition int32 `json:"partition"`
	Leader    int32 `json:"leader"`
	Start     int64 `json:"start"`
	End       int64 `json:"end"`
	Records   int64 `json:"records"` // at most: compaction leaves holes
}

func newTopicDescribe(s streams, b *bootstrap) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:               "describe NAME",
		Short:             "Show a topic's id, the configs that were set, and where its partitions stand",
		Args:              exactly("NAME"),
		ValidArgsFunction: firstArg(b.complete(listTopicNames)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			found, err := describeTopic(ctx, adm, args[0])
			if err != nil {
				return err
			}
			return form.print(s.Out, found)
		},
	}
	form.addFlag(cmd)
	return cmd
}

func describeTopic(ctx context.Context, adm *kadm.Client, topic string) (found describedTopic, err error) {
	detail, err := lookUp(ctx, adm, topic)
	if err != nil {
		return found, err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return found, err
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return found, err
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return found, err
	}
	found = describedTopic{Topic: topic, ID: segments.TopicID(detail.ID).String(), Configs: map[string]string{}}
	for _, resource := range configs {
		for _, config := range resource.Configs {
			if config.Source == kmsg.ConfigSourceDynamicTopicConfig {
				found.Configs[config.Key] = config.MaybeValue()
			}
		}
	}
	for _, p := range detail.Partitions.Sorted() {
		start, end := starts[topic][p.Partition].Offset, ends[topic][p.Partition].Offset
		found.Partitions = append(found.Partitions, describedPartition{p.Partition, p.Leader, start, end, end - start})
	}
	return found, nil
}
