package topicconfig

import (
	"math"
	"slices"
	"strings"

	"firn.dev/segments/batch"
)

// Names that are used outside of the table.
const (
	MaxMessageBytes  = "max.message.bytes"
	minCompactionLag = "min.compaction.lag.ms"
	maxCompactionLag = "max.compaction.lag.ms"
)

// table holds all topic configs of Kafka 4.4 with its defaults and limits, ordered by name. byName
// and defaults follow from it.
var (
	table    = ordered(slices.Concat(writing, cleaning, layout, replication, tiering))
	byName   = indexed(table)
	defaults = parsed(table)
)

// writing is about batches on their way in.
var writing = []Definition{
	{"compression.type", "producer", Honoured, "compression.type",
		"Codec in which batches are kept. 'producer' keeps them as they came; " +
			"batches that came uncompressed may be kept as lz4.",
		oneOf(func(c *Config, v string) {
			c.KeepCodec = v == "producer"
			c.Codec, _ = batch.ParseCodec(v) // None is "uncompressed"
		},
			"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")},
	{"compression.gzip.level", "-1", Meaningless, "compression.gzip.level",
		"Level at which gzip compresses, if compression.type is gzip. Firn compresses at a level of its own.",
		orElse(-1, number[int32](1, 9, nil))},
	{"compression.lz4.level", "9", Meaningless, "compression.lz4.level",
		"Level at which lz4 compresses, if compression.type is lz4. Firn compresses at a level of its own.",
		number[int32](1, 17, nil)},
	{"compression.zstd.level", "3", Meaningless, "compression.zstd.level",
		"Level at which zstd compresses, if compression.type is zstd. Firn compresses at a level of its own.",
		number[int32](-131072, 22, nil)},
	{MaxMessageBytes, "1048588", Honoured, "message.max.bytes",
		"Largest record batch accepted, in bytes, as the producer sent it.",
		integer(0, func(c *Config) *int32 { return &c.MaxMessageBytes })},
	{"max.decompressed.message.bytes", "2147483639", Honoured, "max.decompressed.message.bytes",
		"Largest size that the records of one batch may grow to when they have to be decompressed. " +
			"The server's own limit also stands.",
		number(1, 2147483639, func(c *Config) *int32 { return &c.MaxDecompressedBytes })},
	{"message.timestamp.type", "CreateTime", Honoured, "log.message.timestamp.type",
		"Whether records keep the producer's timestamps (CreateTime) " +
			"or get the time at which they were written (LogAppendTime).",
		oneOf(func(c *Config, v string) { c.LogAppendTime = v == "LogAppendTime" }, "CreateTime", "LogAppendTime")},
	{"message.timestamp.before.max.ms", "9223372036854775807", Honoured, "log.message.timestamp.before.max.ms",
		"How far a producer's timestamp may lie in the past; ignored with LogAppendTime.",
		long(0, func(c *Config) *int64 { return &c.MessageTimestampBeforeMillis })},
	{"message.timestamp.after.max.ms", "3600000", Honoured, "log.message.timestamp.after.max.ms",
		"How far a producer's timestamp may lie in the future; ignored with LogAppendTime.",
		long(0, func(c *Config) *int64 { return &c.MessageTimestampAfterMillis })},
}

// cleaning is about what becomes of old records.
var cleaning = []Definition{
	{"cleanup.policy", "delete", Honoured, "log.cleanup.policy",
		"What becomes of old records: 'delete' removes them by age and size, " +
			"'compact' keeps the last for each key; an empty list keeps all.",
		someOf(func(c *Config, v []string) {
			c.Delete, c.Compact = slices.Contains(v, "delete"), slices.Contains(v, "compact")
		}, "compact", "delete")},
	{"retention.ms", "604800000", Honoured, "log.retention.ms",
		"How long records are kept, if cleanup.policy has 'delete'; -1 is for ever.",
		long(-1, func(c *Config) *int64 { return &c.RetentionMillis })},
	{"retention.bytes", "-1", Honoured, "log.retention.bytes",
		"How large a partition may grow before its oldest records are removed, " +
			"if cleanup.policy has 'delete'; -1 is without limit.",
		long(math.MinInt64, func(c *Config) *int64 { return &c.RetentionBytes })},
	{"delete.retention.ms", "86400000", Honoured, "log.cleaner.delete.retention.ms",
		"How long compaction keeps the record that deletes a key, from when it first compacted it on.",
		long(0, func(c *Config) *int64 { return &c.DeleteRetentionMillis })},
	{minCompactionLag, "0", Honoured, "log.cleaner.min.compaction.lag.ms",
		"How long a record is safe from compaction.",
		long(0, func(c *Config) *int64 { return &c.MinCompactionLagMillis })},
	{maxCompactionLag, "9223372036854775807", Honoured, "log.cleaner.max.compaction.lag.ms",
		"How long a record may at most be left out of compaction.",
		long(1, func(c *Config) *int64 { return &c.MaxCompactionLagMillis })},
	{"min.cleanable.dirty.ratio", "0.5", Honoured, "log.cleaner.min.cleanable.ratio",
		"Which part of a partition has to be uncompacted before compaction is worth while.",
		ratio(func(c *Config) *float64 { return &c.MinCleanableDirtyRatio })},
}

// layout is about files on brokers' disks, of which there are none: segments are sealed by the
// flush policy and are durable before the answer.
var layout = []Definition{
	{"segment.bytes", "1073741824", Honoured, "log.segment.bytes",
		"Size of a log file. Firn merges what was written into segments of up to that size, " +
			"or the server's own target if that is smaller.",
		integer(1<<20, func(c *Config) *int32 { return &c.SegmentBytes })},
	{"segment.ms", "604800000", Meaningless, "log.roll.ms",
		"Age at which a log file is closed. Firn's segments are sealed by the server's flush policy.", long(1, nil)},
	{"segment.jitter.ms", "0", Meaningless, "log.roll.jitter.ms",
		"Random delay on top of segment.ms, which has no meaning itself.", long(0, nil)},
	{"segment.index.bytes", "10485760", Meaningless, "log.index.size.max.bytes",
		"Size of the index of a log file. Firn's segments carry their own.", integer(4, nil)},
	{"index.interval.bytes", "4096", Meaningless, "log.index.interval.bytes",
		"Distance of entries in the index of a log file. Firn's segments know the position of every batch.", integer(0, nil)},
	{"flush.messages", "9223372036854775807", Meaningless, "log.flush.interval.messages",
		"Records between two calls of fsync. In Firn every record is durable in the bucket before it is acknowledged.",
		long(1, nil)},
	{"flush.ms", "9223372036854775807", Meaningless, "log.flush.interval.ms",
		"Time between two calls of fsync. In Firn every record is durable in the bucket before it is acknowledged.",
		long(0, nil)},
	{"file.delete.delay.ms", "60000", Meaningless, "log.segment.delete.delay.ms",
		"Wait before a log file is removed. Firn removes objects that nothing refers to after a wait of its own.",
		long(0, nil)},
	{"preallocate", "false", Meaningless, "log.preallocate",
		"Whether a log file takes its space at once. Firn has no log files.", boolean()},
}

// replication is about copies on several brokers, which Firn leaves to the bucket.
var replication = []Definition{
	{"min.insync.replicas", "1", Meaningless, "min.insync.replicas",
		"Copies that have to be in sync for acks=all. " +
			"In Firn every acknowledged record is in the bucket, whatever acks says.",
		integer(1, nil)},
	{"unclean.leader.election.enable", "false", Meaningless, "unclean.leader.election.enable",
		"Whether a copy that lags may lead. In Firn every node reads the same bucket: there is nothing to lose.", boolean()},
	{"leader.replication.throttled.replicas", "", Meaningless, "",
		"Copies whose sending is throttled. Firn makes none.", throttled()},
	{"follower.replication.throttled.replicas", "", Meaningless, "",
		"Copies whose fetching is throttled. Firn makes none.", throttled()},
	{"errors.deadletterqueue.group.enable", "false", Meaningless, "",
		"Whether share groups may use the topic as dead letter queue. Firn has no share groups.", boolean()},
}

// tiering is about moving old log files to a bucket. In Firn all records are in the bucket from the
// beginning.
var tiering = []Definition{
	{"remote.storage.enable", "false", Meaningless, "",
		"Whether old records move to a bucket. In Firn all records are there from the beginning.", boolean()},
	{"remote.log.copy.disable", "false", Meaningless, "",
		"Whether copying to the bucket is halted. Firn copies nothing.", boolean()},
	{"remote.log.delete.on.disable", "false", Meaningless, "",
		"Whether records leave the bucket when tiering is turned off. In Firn it cannot be.", boolean()},
	{"remote.copy.lag.ms", "0", Meaningless, "log.remote.copy.lag.ms",
		"Age before a log file is copied to the bucket. Firn copies nothing.", long(-1, nil)},
	{"remote.copy.lag.bytes", "-1", Meaningless, "log.remote.copy.lag.bytes",
		"Size behind which a log file is copied to the bucket. Firn copies nothing.", long(-1, nil)},
	{"local.retention.ms", "-2", Meaningless, "log.local.retention.ms",
		"How long a broker's disk keeps what the bucket has. Firn keeps nothing on disk.", long(-2, nil)},
	{"local.retention.bytes", "-2", Meaningless, "log.local.retention.bytes",
		"How much a broker's disk keeps of what the bucket has. Firn keeps nothing on disk.", long(-2, nil)},
}

func ordered(defs []Definition) []Definition {
	slices.SortFunc(defs, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	return defs
}

func indexed(defs []Definition) map[string]*Definition {
	m := make(map[string]*Definition, len(defs))
	for i := range defs {
		m[defs[i].Name] = &defs[i]
	}
	return m
}

// parsed reads every default, so that a table whose defaults break its own rules does not get past
// its first test.
func parsed(defs []Definition) Config {
	var c Config
	for _, d := range defs {
		if err := d.parse(&c, d.Default); err != nil {
			panic("topicconfig: default of " + d.Name + " " + err.Error())
		}
	}
	return c
}
