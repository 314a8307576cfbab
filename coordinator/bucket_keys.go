package coordinator

import (
	"fmt"
	"strconv"
	"strings"

	"firn.dev/segments"
)

// Where things lie in the bucket. Numbers have twenty digits, so that the order of keys is
// the order of numbers.
const (
	journalPrefix     = segments.JournalPrefix
	snapshotPrefix    = "snapshots/"
	incarnationPrefix = "incarnations/"
)

func journalKey(life string, n uint64) string { return segments.JournalKey(life, n) }

func snapshotKey(in Incarnation, n uint64) string {
	return fmt.Sprintf("%s%020d/%020d", snapshotPrefix, in, n)
}

func incarnationKey(in Incarnation) string { return fmt.Sprintf("%s%020d", incarnationPrefix, in) }

func parseJournalKey(key string) (life string, n uint64, ok bool) {
	rest, found := strings.CutPrefix(key, journalPrefix)
	if !found {
		return "", 0, false
	}
	life, number, found := strings.Cut(rest, "/")
	if !found || life == "" {
		return "", 0, false
	}
	n, ok = parseNumber(number)
	return life, n, ok
}

func parseSnapshotKey(key string) (in Incarnation, n uint64, ok bool) {
	rest, found := strings.CutPrefix(key, snapshotPrefix)
	if !found {
		return 0, 0, false
	}
	first, second, found := strings.Cut(rest, "/")
	if !found {
		return 0, 0, false
	}
	i, ok1 := parseNumber(first)
	n, ok2 := parseNumber(second)
	return Incarnation(i), n, ok1 && ok2
}

func parseIncarnationKey(key string) (Incarnation, bool) {
	rest, found := strings.CutPrefix(key, incarnationPrefix)
	if !found {
		return 0, false
	}
	n, ok := parseNumber(rest)
	return Incarnation(n), ok
}

func parseNumber(s string) (uint64, bool) {
	if len(s) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}
