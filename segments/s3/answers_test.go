package s3

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
	s := openAt(t, behind, "")

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
	s := openAt(t, localstack.S3{Server: &localstack.Server{Addr: proxy.Addr}}, "")
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
			s := openAt(t, localstack.S3{Server: &localstack.Server{Addr: proxy.Addr}}, "")
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
				{"a bucket that is not there", server.S3URL("nosuch", ""), s3api.ErrBucket},
				{"a server that is not there", "s3://firn?region=x&endpoint=http://127.0.0.1:1", s3api.ErrUnreachable},
				{"TLS where there is none", "s3://firn?region=x&endpoint=https://" + server.Addr, s3api.ErrUnreachable},
			} {
				if err := openURL(t, test.url).Put(t.Context(), "key", []byte("body")); !errors.Is(err, test.want) {
					t.Errorf("%s: %v", test.what, err)
				}
			}
			t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
			err := openURL(t, server.S3URL("firn", "")).Put(t.Context(), "key", []byte("body"))
			if !errors.Is(err, s3api.ErrCredentials) {
				t.Errorf("the wrong secret: %v", err)
			}
			t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
			err = openURL(t, server.S3URL("firn", "")).Put(t.Context(), "key", []byte("body"))
			if !errors.Is(err, s3api.ErrCredentials) {
				t.Errorf("the wrong key: %v", err)
			}
		})
	}
}

// TestWrongRegion asks versitygw: MinIO takes any region unless it is given one.
func TestWrongRegion(t *testing.T) {
	err := openURL(t, "s3://firn?region=eu-west-1&endpoint="+servers["versitygw"].Endpoint()).Put(t.Context(), "key",
		[]byte("body"))
	if !errors.Is(err, s3api.ErrRegion) {
		t.Error(err)
	}
}

// TestNoCredentials looks for them in vain.
func TestNoCredentials(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	if _, err := Open(t.Context(), Options{Bucket: "b", Region: "eu-west-1"}); !errors.Is(err, errNoCredentials) {
		t.Error(err)
	}
	if _, err := Open(t.Context(), Options{Bucket: "b"}); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Error(err)
	}
}
