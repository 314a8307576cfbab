package engines

import (
	"os/exec"
	"testing"
	"time"
)

// replay has firn replay write Parquet files, straight from the bucket, and returns where.
func (s server) replay(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.CommandContext(t.Context(), s.firn, append([]string{"replay", topic, "--store", "file://" + s.dir,
		"--format", "parquet", "--out", dir}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("firn replay: %v\n%s", err, out)
	}
	return dir
}

// TestDuckDBReadsParquet: what DuckDB counts and sums of the files of a replay is what was written,
// also of a range of time and with typed values.
func TestDuckDBReadsParquet(t *testing.T) {
	s := start(t)
	all, some := map[int32]stretch{}, map[int32]stretch{}
	for partition := range int32(partitions) {
		all[partition], some[partition] = expect(partition, 0, each), expect(partition, 1000, 12_345)
	}
	same(t, ask(t, "duckdb_parquet.py", s.replay(t)), all)
	same(t, ask(t, "duckdb_parquet.py", s.replay(t, "--schema", "infer"), "typed"), all)
	at := func(offset int) string { return began.Add(time.Duration(offset) * time.Second).Format(time.RFC3339) }
	same(t, ask(t, "duckdb_parquet.py", s.replay(t, "--from", at(1000), "--to", at(12_345))), some)
}
