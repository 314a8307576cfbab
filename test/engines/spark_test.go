//go:build engines

package engines

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// ranges are stretches that Spark is asked for: a whole partition, one inside, one at the end, and
// an empty one.
var ranges = map[int32][2]int64{0: {0, each}, 1: {137, 15_001}, 2: {each - 1, each}, 3: {500, 500}}

// TestSparkReadsOffsets: what Spark's Kafka source counts and sums of a range of offsets is what
// was written, and what firn consume and firn replay say.
func TestSparkReadsOffsets(t *testing.T) {
	s := start(t)
	starts, ends, want := map[int32]int64{}, map[int32]int64{}, map[int32]stretch{}
	for partition, r := range ranges {
		starts[partition], ends[partition] = r[0], r[1]
		if r[0] == r[1] {
			continue
		}
		want[partition] = expect(partition, r[0], r[1])
		if said := s.firnSays(t, "consume", topic, "--bootstrap", s.kafka, "--partition", fmt.Sprint(partition),
			"--from", fmt.Sprint(r[0]), "--count", fmt.Sprint(r[1]-r[0]), "--format", "json"); said != want[partition] {
			t.Errorf("firn consume says %+v of partition %d, written was %+v", said, partition, want[partition])
		}
		if said := s.firnSays(t, "replay", topic, "--store", "file://"+s.dir, "--partition", fmt.Sprint(partition),
			"--from", fmt.Sprint(r[0]), "--to", fmt.Sprint(r[1]), "--format", "ndjson"); said != want[partition] {
			t.Errorf("firn replay says %+v of partition %d, written was %+v", said, partition, want[partition])
		}
	}
	arguments := []string{"jars", s.kafka, topic, "startingOffsets=" + named(t, starts), "endingOffsets=" + named(t, ends)}
	got := ask(t, "spark_kafka.py", arguments...)
	same(t, got, want)
	// Ranges of one partition in several tasks at once: more tasks than partitions.
	got = ask(t, "spark_kafka.py", append(arguments, "minPartitions=12")...)
	same(t, got, want)
	if got.Tasks < 10 {
		t.Errorf("%d tasks", got.Tasks)
	}
}

// TestSparkReadsTimes: ranges of time are exact too, as timestamps do not go backwards here.
func TestSparkReadsTimes(t *testing.T) {
	s := start(t)
	at := func(offset int64) int64 { return began.Add(time.Duration(offset) * time.Second).UnixMilli() }
	starts, ends, want := map[int32]int64{}, map[int32]int64{}, map[int32]stretch{}
	for partition := range int32(partitions) {
		from, to := 1000+int64(partition), 12_345+int64(partition)
		starts[partition], ends[partition] = at(from)-999, at(to)
		want[partition] = expect(partition, from, to)
	}
	same(t, ask(t, "spark_kafka.py", "jars", s.kafka, topic, "startingOffsetsByTimestamp="+named(t, starts),
		"endingOffsetsByTimestamp="+named(t, ends)), want)

	for partition := range want {
		want[partition] = expect(partition, 19_000, each)
	}
	// One time for all partitions; behind the last record a topic simply ends.
	same(t, ask(t, "spark_kafka.py", "jars", s.kafka, topic, fmt.Sprint("startingTimestamp=", at(19_000)),
		fmt.Sprint("endingTimestamp=", at(each+1000))), want)
}

// TestSparkReadsParquet: and so is what it finds in the files of firn replay, without a node.
func TestSparkReadsParquet(t *testing.T) {
	s := start(t)
	want := map[int32]stretch{}
	for partition := range int32(partitions) {
		want[partition] = expect(partition, 0, each)
	}
	same(t, ask(t, "spark_parquet.py", s.replay(t)), want)
}

// named is a number for each partition, as Spark's options take them.
func named(t *testing.T, numbers map[int32]int64) string {
	t.Helper()
	text, err := json.Marshal(map[string]map[int32]int64{topic: numbers})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
