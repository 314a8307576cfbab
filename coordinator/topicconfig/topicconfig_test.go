package topicconfig

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firn.dev/segments/batch"
)

// Every config of Kafka 4.4 with its type and default, as its own LogConfig prints them, without
// those that are internal.
var kafka = map[string]struct {
	kind  Type
	value string
}{
	"cleanup.policy":                          {List, "delete"},
	"compression.gzip.level":                  {Int, "-1"},
	"compression.lz4.level":                   {Int, "9"},
	"compression.type":                        {String, "producer"},
	"compression.zstd.level":                  {Int, "3"},
	"delete.retention.ms":                     {Long, "86400000"},
	"errors.deadletterqueue.group.enable":     {Boolean, "false"},
	"file.delete.delay.ms":                    {Long, "60000"},
	"flush.messages":                          {Long, "9223372036854775807"},
	"flush.ms":                                {Long, "9223372036854775807"},
	"follower.replication.throttled.replicas": {List, ""},
	"index.interval.bytes":                    {Int, "4096"},
	"leader.replication.throttled.replicas":   {List, ""},
	"local.retention.bytes":                   {Long, "-2"},
	"local.retention.ms":                      {Long, "-2"},
	"max.compaction.lag.ms":                   {Long, "9223372036854775807"},
	"max.decompressed.message.bytes":          {Int, "2147483639"},
	"max.message.bytes":                       {Int, "1048588"},
	"message.timestamp.after.max.ms":          {Long, "3600000"},
	"message.timestamp.before.max.ms":         {Long, "9223372036854775807"},
	"message.timestamp.type":                  {String, "CreateTime"},
	"min.cleanable.dirty.ratio":               {Double, "0.5"},
	"min.compaction.lag.ms":                   {Long, "0"},
	"min.insync.replicas":                     {Int, "1"},
	"preallocate":                             {Boolean, "false"},
	"remote.copy.lag.bytes":                   {Long, "-1"},
	"remote.copy.lag.ms":                      {Long, "0"},
	"remote.log.copy.disable":                 {Boolean, "false"},
	"remote.log.delete.on.disable":            {Boolean, "false"},
	"remote.storage.enable":                   {Boolean, "false"},
	"retention.bytes":                         {Long, "-1"},
	"retention.ms":                            {Long, "604800000"},
	"segment.bytes":                           {Int, "1073741824"},
	"segment.index.bytes":                     {Int, "10485760"},
	"segment.jitter.ms":                       {Long, "0"},
	"segment.ms":                              {Long, "604800000"},
	"unclean.leader.election.enable":          {Boolean, "false"},
}

func TestTableIsKafkas(t *testing.T) {
	var names []string
	for _, d := range All() {
		names = append(names, d.Name)
		if want, known := kafka[d.Name]; !known || want.kind != d.Type || want.value != d.Default {
			t.Errorf("%s is a %v, by default %q; Kafka's is a %v, %q", d.Name, d.Type, d.Default, want.kind, want.value)
		}
		if len(d.Documentation) < 30 || !strings.HasSuffix(d.Documentation, ".") {
			t.Errorf("%s is documented as %q", d.Name, d.Documentation)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(kafka)), names); diff != "" {
		t.Errorf("names, in order (-Kafka +here):\n%s", diff)
	}
}

// Setting a config to its default changes nothing, so the typed defaults are those of the table.
func TestDefaultsAreTheTables(t *testing.T) {
	set := map[string]string{}
	for _, d := range All() {
		set[d.Name] = d.Default
	}
	got, err := Parse(set)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		KeepCodec:       true,
		MaxMessageBytes: 1048588, MaxDecompressedBytes: 2147483639,
		MessageTimestampBeforeMillis: 9223372036854775807, MessageTimestampAfterMillis: 3600000,
		Delete: true, RetentionMillis: 604800000, RetentionBytes: -1, DeleteRetentionMillis: 86400000,
		MaxCompactionLagMillis: 9223372036854775807, MinCleanableDirtyRatio: 0.5,
		SegmentBytes: 1 << 30,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got != Default() {
		t.Errorf("Default is %+v", Default())
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        func(*Config) // nil: refused
	}{
		{"compression.type", "zstd", func(c *Config) { c.KeepCodec, c.Codec = false, batch.Zstd }},
		{"compression.type", "uncompressed", func(c *Config) { c.KeepCodec, c.Codec = false, batch.None }},
		{"compression.type", " lz4 ", func(c *Config) { c.KeepCodec, c.Codec = false, batch.LZ4 }},
		{"compression.type", "LZ4", nil},
		{"compression.type", "none", nil},
		{"compression.gzip.level", "9", func(*Config) {}},
		{"compression.gzip.level", "0", nil},
		{"compression.gzip.level", "-2", nil},
		{"compression.zstd.level", "-131072", func(*Config) {}},
		{"compression.lz4.level", "18", nil},
		{"max.message.bytes", "0", func(c *Config) { c.MaxMessageBytes = 0 }},
		{"max.message.bytes", "-1", nil},
		{"max.message.bytes", "2147483648", nil},
		{"max.message.bytes", "1e6", nil},
		{"max.message.bytes", "", nil},
		{"message.timestamp.type", "LogAppendTime", func(c *Config) { c.LogAppendTime = true }},
		{"message.timestamp.type", "logappendtime", nil},
		{"retention.ms", "-1", func(c *Config) { c.RetentionMillis = -1 }},
		{"retention.ms", "-2", nil},
		{"retention.bytes", "-2", func(c *Config) { c.RetentionBytes = -2 }},
		{"cleanup.policy", "compact", func(c *Config) { c.Delete, c.Compact = false, true }},
		{"cleanup.policy", "compact, delete", func(c *Config) { c.Compact = true }},
		{"cleanup.policy", "", func(c *Config) { c.Delete = false }},
		{"cleanup.policy", "compact,", nil},
		{"cleanup.policy", "compact,compact", func(c *Config) { c.Delete, c.Compact = false, true }},
		{"cleanup.policy", "compress", nil},
		{"min.cleanable.dirty.ratio", "1", func(c *Config) { c.MinCleanableDirtyRatio = 1 }},
		{"min.cleanable.dirty.ratio", "1.01", nil},
		{"min.cleanable.dirty.ratio", "NaN", nil},
		{"unclean.leader.election.enable", "TRUE", func(*Config) {}},
		{"unclean.leader.election.enable", "yes", nil},
		{"leader.replication.throttled.replicas", "*", func(*Config) {}},
		{"leader.replication.throttled.replicas", "0:1,1:2", func(*Config) {}},
		{"leader.replication.throttled.replicas", "0-1", nil},
		{"segment.bytes", "1048575", nil},
		{"local.retention.ms", "-2", func(*Config) {}},
		{"local.retention.ms", "-3", nil},
		{"message.downconversion.enable", "true", nil}, // gone since Kafka 4.0
		{"Retention.ms", "1", nil},
	} {
		got, err := Parse(map[string]string{c.name: c.value})
		want := Default()
		if c.want != nil {
			c.want(&want)
		}
		if got != want || (err != nil) != (c.want == nil) {
			t.Errorf("%s=%q: error %v, config %+v", c.name, c.value, err, got)
		}
		if err != nil && !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s=%q: error %q does not name the config", c.name, c.value, err)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	err := Validate(map[string]string{
		"retention.ms": "soon", "cleanup.polici": "delete", "max.message.bytes": "-1",
		"min.compaction.lag.ms": "2000", "max.compaction.lag.ms": "1000",
		"flush.ms": "1",
	})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v is no Problems", err)
	}
	var names []string
	for _, p := range problems {
		names = append(names, p.Name)
	}
	want := []string{"cleanup.polici", "max.message.bytes", "min.compaction.lag.ms", "retention.ms"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	const text = `retention.ms: "soon" is not a whole number that fits into 64 bits`
	if !strings.Contains(err.Error(), text) {
		t.Errorf("error %q does not say %q", err, text)
	}
}

func BenchmarkParse(b *testing.B) {
	set := map[string]string{"compression.type": "zstd", "retention.ms": "86400000", "cleanup.policy": "compact,delete"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(set); err != nil {
			b.Fatal(err)
		}
	}
}
