package s3api

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"firn.dev/segments"
)

func TestRange(t *testing.T) {
	for _, test := range []struct {
		offset, length int64
		want           string
	}{
		{0, -1, ""}, {0, 1, "bytes=0-0"}, {3, 4, "bytes=3-6"}, {3, -1, "bytes=3-"}, {-5, -1, "bytes=-5"},
		{5, 1<<63 - 1, "bytes=5-"}, {1 << 62, 1 << 62, "bytes=4611686018427387904-"},
		{0, 1<<63 - 1, "bytes=0-9223372036854775806"},
	} {
		if got := Range(test.offset, test.length); got != test.want {
			t.Errorf("Range(%d, %d) = %q, not %q", test.offset, test.length, got, test.want)
		}
	}
	for _, at := range [][2]int64{{0, 0}, {5, 0}, {-5, 0}, {-5, 3}} {
		if HasRange(at[0], at[1]) {
			t.Errorf("HTTP cannot ask for %v", at)
		}
	}
}

// TestReadRange holds answers against what was asked for, among them those of servers that get
// ranges wrong.
func TestReadRange(t *testing.T) {
	for _, test := range []struct {
		name           string
		body           string
		announced      int64
		contentRange   string
		offset, length int64
		want           error
	}{
		{"the whole", "0123456789", 10, "", 0, -1, nil},
		{"a range", "234", 3, "bytes 2-4/10", 2, 3, nil},
		{"a start", "01", 2, "bytes 0-1/10", 0, 2, nil},
		{"to the end", "89", 2, "bytes 8-9/10", 8, -1, nil},
		{"the last bytes", "789", 3, "bytes 7-9/10", -3, -1, nil},
		{"more last bytes than there are", "012", 3, "bytes 0-2/3", -100, -1, nil},
		{"more last bytes than there are, plainly", "012", 3, "", -100, -1, nil},
		{"fewer bytes than asked for", "89", 2, "bytes 8-9/10", 8, 3, segments.ErrRange},
		{"a size that is not known", "234", 3, "bytes 2-4/*", 2, 3, ErrAnswer},
		{"a server that ignores offsets", "0123456789", 10, "", 2, 3, ErrAnswer},
		{"a server that ignores lengths", "0123456789", 10, "", 0, 3, ErrAnswer},
		{"a server that ignores suffixes", "0123456789", 10, "", -3, -1, ErrAnswer},
		{"another range", "345", 3, "bytes 3-5/10", 2, 3, ErrAnswer},
		{"a range that is not that of the body", "23", 2, "bytes 2-4/10", 2, 3, ErrAnswer},
		{"no length", "234", -1, "bytes 2-4/10", 2, 3, ErrAnswer},
		{"a connection that breaks", "23", 3, "bytes 2-4/10", 2, 3, io.ErrUnexpectedEOF},
		{"a connection that breaks at once", "", 3, "bytes 2-4/10", 2, 3, io.ErrUnexpectedEOF},
	} {
		got, err := ReadRange(strings.NewReader(test.body), test.announced, test.contentRange, test.offset, test.length)
		if !errors.Is(err, test.want) || err == nil && string(got) != test.body {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}

// TestBodyIsLetGoOf answers before it has read the body: after Release, nobody reads bytes that are
// the caller's again. The race detector is the judge.
func TestBodyIsLetGoOf(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	for range 20 {
		bytes := make([]byte, 4<<20)
		body := NewBody(bytes)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = int64(len(bytes))
		resp, err := server.Client().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		body.Release()
		clear(bytes)
		if _, err := body.Read(make([]byte, 1)); err == nil {
			t.Error("it can be read after Release")
		}
	}
}

func TestCRC32C(t *testing.T) {
	if got := CRC32C([]byte("123456789")); got != "4waSgw==" { // 0xE3069283, the check value of CRC-32C
		t.Error(got)
	}
}
