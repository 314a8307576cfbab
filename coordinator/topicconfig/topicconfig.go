// Package topicconfig knows the topic configs of Kafka 4.x: their types, defaults and limits, which
// of them Firn honours and which it accepts because clients send them although they have no meaning
// here.
//
// Definitions are in table.go, one row for each config. Parse turns what was set on a topic into a
// Config, which the write path reads; a config that is not set has its default. Everything in this
// package is read-only and safe for concurrent use.
package topicconfig

import (
	"fmt"
	"slices"
	"strings"

	"firn.dev/segments/batch"
)

// Config is what the configs of one topic say, typed: those that Firn honours, or will.
type Config struct {
	// What becomes of a batch on its way in.
	KeepCodec                    bool        // compression.type is "producer": a batch stays compressed as it came
	Codec                        batch.Codec // otherwise: what it should be compressed with
	MaxMessageBytes              int32       // of a whole batch as it came, header included
	MaxDecompressedBytes         int32       // of a batch's records, uncompressed
	LogAppendTime                bool        // timestamps are the broker's, not the producer's
	MessageTimestampBeforeMillis int64       // how far a record's timestamp may lie in the past
	MessageTimestampAfterMillis  int64       // and in the future

	// What becomes of old records.
	Delete                 bool  // old records are removed
	Compact                bool  // records are removed once a later one has the same key
	RetentionMillis        int64 // negative: no limit
	RetentionBytes         int64 // of a partition; negative: no limit
	DeleteRetentionMillis  int64 // how long compaction keeps tombstones
	MinCompactionLagMillis int64
	MaxCompactionLagMillis int64
	MinCleanableDirtyRatio float64
	SegmentBytes           int32 // how large merged segments become at most, about
}

// Problem is what is wrong with one config.
type Problem struct {
	Name   string
	Reason string
}

// Problems is everything that is wrong with a set of configs, ordered by name. Kafka's error code
// for it is INVALID_CONFIG.
type Problems []Problem

func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, problem := range p {
		texts[i] = problem.Name + ": " + problem.Reason
	}
	return "invalid topic config: " + strings.Join(texts, "; ")
}

// Default returns the Config of a topic on which nothing was set.
func Default() Config { return defaults }

// Parse returns what the configs that were set on a topic amount to, defaults for the others
// included. Its error is a Problems with all that is wrong; the Config is then the default for each
// config with a problem.
func Parse(set map[string]string) (Config, error) {
	c := defaults
	var problems Problems
	for name, value := range set {
		d, ok := byName[name]
		if !ok {
			reason := "unknown topic config; it may be misspelt, or one that Kafka 4 has removed"
			problems = append(problems, Problem{name, reason})
			continue
		}
		if err := d.parse(&c, strings.TrimSpace(value)); err != nil {
			problems = append(problems, Problem{name, fmt.Sprintf("%q %v", value, err)})
		}
	}
	if c.MinCompactionLagMillis > c.MaxCompactionLagMillis {
		reason := fmt.Sprintf("%d is more than %s, which is %d",
			c.MinCompactionLagMillis, maxCompactionLag, c.MaxCompactionLagMillis)
		problems = append(problems, Problem{minCompactionLag, reason})
	}
	if problems == nil {
		return c, nil
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Name, b.Name) })
	return c, problems
}

// Validate returns a Problems with all that is wrong with the configs, or nil.
func Validate(set map[string]string) error {
	_, err := Parse(set)
	return err
}

// Changes returns what leads from one set of configs to another, as coordinator.Configure wants it:
// nil for those that are not set any more.
func Changes(from, to map[string]string) map[string]*string {
	changes := map[string]*string{}
	for name := range from {
		if _, kept := to[name]; !kept {
			changes[name] = nil
		}
	}
	for name, value := range to {
		if old, had := from[name]; !had || old != value {
			changes[name] = &value
		}
	}
	return changes
}
