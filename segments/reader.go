package segments

import (
	"context"
	"fmt"
	"slices"
)

// suffixLen is how much of a segment's end ReadIndex fetches at once.
const suffixLen = 64 << 10

// Index is what the end of a segment says of it.
type Index struct {
	Kind Kind
	ID   ID
	Runs []Run
}

// ReadIndex reads a segment's index: in one request, or two if the footer is long.
func ReadIndex(ctx context.Context, store Store, id ID) (Index, error) {
	end, err := store.Get(ctx, id.Key(), -suffixLen, -1)
	if err != nil {
		return Index{}, fmt.Errorf("index of segment %s: %w", id, err)
	}
	t, err := parseTrailer(end)
	if err != nil {
		return Index{}, fmt.Errorf("segment %s: %w", id, err)
	}
	if missing := t.length + trailerLen - int64(len(end)); missing > 0 {
		footer, err := store.Get(ctx, id.Key(), t.footer, missing)
		if err != nil {
			return Index{}, fmt.Errorf("index of segment %s: %w", id, err)
		}
		end = slices.Concat(footer, end)
	}
	index, err := parseEnd(end, t)
	if err == nil && index.ID != id {
		err = corrupt("it says that it is %s", index.ID)
	}
	if err != nil {
		return Index{}, fmt.Errorf("segment %s: %w", id, err)
	}
	return index, nil
}

// parseEnd reads the footer from the bytes that a segment ends with.
func parseEnd(end []byte, t trailer) (Index, error) {
	footer := end[:len(end)-trailerLen]
	if int64(len(footer)) < t.length {
		return Index{}, corrupt("footer of %d bytes in %d", t.length, len(footer))
	}
	footer = footer[int64(len(footer))-t.length:]
	if checksum(footer) != t.crc {
		return Index{}, badCRC("footer")
	}
	id, runs, err := parseFooter(footer, t.kind, t.footer)
	return Index{t.kind, id, runs}, err
}
