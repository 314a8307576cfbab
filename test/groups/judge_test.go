package main

import "testing"

// TestJudgeFindsPlantedFaults: a judge that finds nothing proves nothing.
func TestJudgeFindsPlantedFaults(t *testing.T) {
	ends := map[int32]int64{0: 2, 1: 1}
	good := []string{"1 a + 0,1", "2 a P 0 0", "3 a V 1", "4 b + 1", "5 b P 1 0", "6 a P 0 1", "7 a V *"}
	for name, c := range map[string]struct {
		lines                    []string
		missing, twice, overlaps int
	}{
		"nothing wrong":       {good, 0, 0, 0},
		"a record is missing": {good[:5], 1, 0, 0},
		"a record twice":      {append(good[:7:7], "8 b P 1 0"), 0, 1, 0},
		"given before given up": {[]string{"1 a + 0,1", "2 b + 1", "3 a V 1", "4 a P 0 0", "5 a P 0 1", "6 b P 1 0"}, 0, 0,
			1},
		"eager, given up": {[]string{"1 a A 0,1", "2 a V *", "3 b A 1", "4 a A 0", "5 a P 0 0", "6 a P 0 1",
			"7 b P 1 0"}, 0, 0, 0},
		"eager, not given up": {[]string{"1 a A 0,1", "3 b A 1", "4 a A 0", "5 a P 0 0", "6 a P 0 1", "7 b P 1 0"}, 0, 0,
			1},
		"the dead have nothing": {[]string{"1 a A 0,1", "2 a K ", "3 b A 0,1", "5 b P 0 0", "6 b P 0 1", "7 b P 1 0"}, 0, 0,
			0},
		"order is that of time": {[]string{"3 b + 1", "1 a + 0,1", "2 a V 1", "5 b P 0 0", "6 b P 0 1", "7 b P 1 0"}, 0, 0,
			0},
	} {
		j := newJudge()
		for _, line := range c.lines {
			if err := j.line(line[2:3], line[:2]+line[4:]); err != nil {
				t.Fatal(err)
			}
		}
		if v := j.finish(ends); v.Missing != c.missing || v.Twice != c.twice || len(v.Overlaps) != c.overlaps ||
			v.Records != 3 {
			t.Errorf("%s: %s %v", name, v, v.Overlaps)
		}
	}
}
