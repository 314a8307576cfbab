package minio

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"firn.dev/localstack"
	"firn.dev/segments"
	"firn.dev/segments/s3api"
	"firn.dev/segments/storetest"
)

// TestPutIsSentAgainOnlyIfRefused loses the answer to a put, which must not be sent again, and
// refuses one, which may be.
func TestPutIsSentAgainOnlyIfRefused(t *testing.T) {
	proxy := storetest.NewProxy(t, servers["MinIO"].Addr)
	behind := localstack.S3{Server: &localstack.Server{Addr: proxy.Addr}}
	s := openAt(t, behind)
	if err := s.Put(t.Context(), "first", nil); err != nil { // the client asks for the bucket's region before
		t.Fatal(err)
	}

	proxy.Script(storetest.FirstOnly(http.MethodPut, storetest.Exchange{Lose: true}))
	if err := s.Put(t.Context(), "lost", []byte("body")); err == nil || errors.Is(err, segments.ErrExists) {
		t.Errorf("a put whose answer was lost: %v", err)
	}
	if seen := proxy.Seen(); !slices.Equal(seen, []string{http.MethodPut}) {
		t.Errorf("it was sent again: %v", seen)
	}
	if err := s.Put(t.Context(), "lost", []byte("body")); !errors.Is(err, segments.ErrExists) {
		t.Errorf("the put whose answer was lost was not made: %v", err)
	}

	for code, status := range map[string]int{
		"SlowDown": http.StatusServiceUnavailable, "ConditionalRequestConflict": http.StatusConflict,
		// These two are what MinIO says while a delete beside the put empties its folder.
		"AccessDenied": http.StatusForbidden, "IncompleteBody": http.StatusBadRequest,
	} {
		proxy.Script(storetest.FirstOnly(http.MethodPut, storetest.Exchange{Refuse: code, Status: status}))
		if err := s.Put(t.Context(), code, []byte("body")); err != nil {
			t.Error(err)
		}
		if seen := proxy.Seen(); !slices.Equal(seen, []string{http.MethodPut, http.MethodPut}) {
			t.Errorf("after %s: %v", code, seen)
		}
	}
}

// TestGetIsSentAgain breaks the answer to a get in every way.
func TestGetIsSentAgain(t *testing.T) {
	proxy := storetest.NewProxy(t, servers["MinIO"].Addr)
	s := openAt(t, localstack.S3{Server: &localstack.Server{Addr: proxy.Addr}})
	body := strings.Repeat("0123456789", 100_000)
	if err := s.Put(t.Context(), "object", []byte(body)); err != nil {
		t.Fatal(err)
	}
	for _, e := range []storetest.Exchange{{Refuse: "SlowDown"}, {Refuse: "InternalError", Status: 500}, {Lose: true},
		{CutBody: true}} {
		proxy.Script(storetest.FirstOnly(http.MethodGet, e))
		got, err := s.Get(t.Context(), "object", 10, 500_000)
		if err != nil || string(got) != body[10:500_010] {
			t.Errorf("%+v: %d bytes, %v", e, len(got), err)
		}
		if seen := proxy.Seen(); len(seen) != 2 {
			t.Errorf("%+v: %v", e, seen)
		}
	}
}

// TestCorruptedOnTheWay flips a bit of a body between driver and server: the server must not take
// it, over plain HTTP either.
func TestCorruptedOnTheWay(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			proxy := storetest.NewProxy(t, server.Addr)
			s := openAt(t, localstack.S3{Server: &localstack.Server{Addr: proxy.Addr}})
			proxy.Script(storetest.FirstOnly(http.MethodPut, storetest.Exchange{Corrupt: true}))
			if err := s.Put(t.Context(), "object", []byte("0123456789")); err == nil {
				t.Error("the server took other bytes than were put")
			}
			if body, err := s.Get(t.Context(), "object", 0, -1); !errors.Is(err, segments.ErrNotFound) {
				t.Errorf("%q, %v", body, err)
			}
			if err := s.Put(t.Context(), "object", []byte("0123456789")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRefusals asks real servers for what they refuse.
func TestRefusals(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			for _, test := range []struct {
				what, url string
				want      error
			}{
				{"a bucket that is not there", server.MinIOURL("nosuch", ""), s3api.ErrBucket},
				{"a server that is not there", "minio://key:secret@127.0.0.1:1/firn?secure=false", s3api.ErrUnreachable},
				{"TLS where there is none", "minio://key:secret@" + server.Addr + "/firn", s3api.ErrUnreachable},
				{"the wrong secret", "minio://firnadmin:wrong@" + server.Addr + "/firn?secure=false", s3api.ErrCredentials},
				{"the wrong key", "minio://nobody:firnsecret@" + server.Addr + "/firn?secure=false", s3api.ErrCredentials},
			} {
				if err := openURL(t, test.url).Put(t.Context(), "key", []byte("body")); !errors.Is(err, test.want) {
					t.Errorf("%s: %v", test.what, err)
				}
			}
		})
	}
}

// TestNoCredentials looks for them in vain.
func TestNoCredentials(t *testing.T) {
	for _, name := range []string{"MINIO_ROOT_USER", "MINIO_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	if _, err := Open(Options{Endpoint: "localhost:9000", Bucket: "bucket"}); !errors.Is(err, errNoCredentials) {
		t.Error(err)
	}
}
