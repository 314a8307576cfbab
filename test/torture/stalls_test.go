package main

import (
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/test/torture/history"
)

// TestStalls has one producer write to two partitions, and stand still in ways that are known.
func TestStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStalls(1, 2)
		offset := int64(0)
		acknowledge := func(partitions ...int32) {
			for _, p := range partitions {
				s.acknowledged(0, p, offset, time.Now())
				s.read(p, offset)
				offset++
			}
		}
		pass := func(seconds float64) { time.Sleep(time.Duration(seconds * float64(time.Second))) }

		acknowledge(0, 1)
		pass(0.1) // so far it was calm
		acknowledge(0, 1)

		pass(0.1)
		over := s.begin(KillRedis, false) // 0.1 s into a stall of 3 s, of which 1 s comes when all runs again
		pass(1.9)
		s.back()
		pass(1)
		acknowledge(0)
		pass(0.5)
		if !pending(over) {
			t.Error("clients have recovered before every partition has")
		}
		acknowledge(1)
		if pending(over) {
			t.Error("clients have not recovered")
		}

		s.begin(KillNode, false)
		s.back()
		s.acknowledged(0, 0, offset, time.Now())
		pass(2) // the reader waits
		s.read(0, offset)
		acknowledge(0, 1)

		s.begin(FlushRedis, false)
		s.begin(FlushRedis, true)
		pass(1)
		s.back()
		acknowledge(0, 1)

		table := newTable(1)
		s.fill(table)
		second := time.Second
		for kind, want := range map[Strike]Felt{
			Calm:      {Produce: second / 10, ProduceAfter: second / 10, Any: second / 10},
			KillRedis: {Produce: 7 * second / 2, ProduceAfter: 3 * second / 2, Any: 3 * second},
			KillNode: {Produce: 2 * second, ProduceAfter: 2 * second, Any: 2 * second, Fetch: 2 * second,
				FetchAfter: 2 * second},
			Together: {Produce: second, Any: second},
		} {
			if got := table.row(kind).Felt; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %+v, want %+v", kind, got, want)
			}
		}
	})
}

// TestSum adds up what two runs have saved, with what was wrong in them.
func TestSum(t *testing.T) {
	one, two := newTable(1), newTable(2)
	for i, table := range []Table{one, two} {
		row := table.row(KillNode)
		row.Injected = 3 + i
		row.Felt = []Felt{{Produce: time.Duration(i)}}
		table.judge(history.Report{Phases: map[string]*history.Phase{string(KillNode): {Acknowledged: 10, Read: 20,
			Faults: map[history.Kind]int{history.Lost: i}}}})
	}
	two.row(Partition).Notes["why not"]++
	var paths []string
	for i, table := range []Table{one, two} {
		paths = append(paths, filepath.Join(t.TempDir(), "table"))
		if err := table.save(paths[i]); err != nil {
			t.Fatal(err)
		}
	}
	total, err := sum(paths)
	if err != nil {
		t.Fatal(err)
	}
	want := Row{Injected: 7, Acknowledged: 20, Read: 40, Felt: []Felt{{}, {Produce: 1}},
		Faults: map[history.Kind]int{history.Lost: 1}, Notes: map[string]int{}}
	if got := *total.row(KillNode); !reflect.DeepEqual(got.Felt, want.Felt) || got.Injected != want.Injected ||
		got.Acknowledged != want.Acknowledged ||
		got.Read != want.Read || got.count(history.Lost) != 1 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if total.row(Partition).Notes["why not"] != 1 || !reflect.DeepEqual(total.Seeds, []uint64{1, 2}) {
		t.Errorf("%+v", total)
	}
	if total.Err() == nil {
		t.Error("a lost record does not count")
	}
}
