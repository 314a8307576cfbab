package quirks_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/minio"
	"firn.dev/segments/s3"
	"firn.dev/segments/s3api"
	"firn.dev/segments/storetest"
	"firn.dev/test/quirks"
)

// drivers open a store on a stand-in, by name.
var drivers = map[string]func(t *testing.T, addr, parameters string, logger *slog.Logger) segments.Store{
	"s3": func(t *testing.T, addr, parameters string, logger *slog.Logger) segments.Store {
		t.Setenv("AWS_ACCESS_KEY_ID", "any")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "body")
		o, err := s3.ParseURL("s3://bucket/prefix?region=us-east-1&endpoint=http://" + addr + parameters)
		if err != nil {
			t.Fatal(err)
		}
		o.Logger = logger
		s, err := s3.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
	"minio": func(t *testing.T, addr, parameters string, logger *slog.Logger) segments.Store {
		o, err := minio.ParseURL("minio://any:body@" + addr + "/bucket/prefix?secure=false" + parameters)
		if err != nil {
			t.Fatal(err)
		}
		o.Logger = logger
		s, err := minio.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
}

// open starts a stand-in and opens a store on it with a driver.
func open(t *testing.T, driver, parameters string, q quirks.Quirks,
	logger *slog.Logger) (*quirks.Bucket, segments.Store) {
	t.Helper()
	bucket := quirks.NewBucket()
	bucket.Set(q)
	server := httptest.NewServer(bucket)
	t.Cleanup(server.Close)
	return bucket, drivers[driver](t, server.Listener.Addr().String(), parameters, logger)
}

// TestStandIn holds a stand-in with all the quirks that drivers work around to what every store
// does.
func TestStandIn(t *testing.T) {
	all := quirks.Quirks{NotModified: true, RefuseChecksums: true, DemandMD5: true, NoDeleteObjects: true, DenyEvery: 50}
	for driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) segments.Store {
				_, s := open(t, driver, "&checksum=none", all, nil)
				return s
			})
		})
	}
}

// TestDeletes deletes from stores that do not take DeleteObjects as it is usually sent: the objects
// go, the driver says so once, and asks no second time in vain.
func TestDeletes(t *testing.T) {
	for _, test := range []struct {
		driver, name, parameters string
		quirks                   quirks.Quirks
		want                     string // in the log; empty: nothing
	}{
		{"s3", "S3", "", quirks.Quirks{}, ""},
		{"s3", "DemandMD5", "", quirks.Quirks{DemandMD5: true}, "DeleteObjects with Content-MD5"},
		{"s3", "DemandMD5AndNoChecksum", "&checksum=none", quirks.Quirks{DemandMD5: true, RefuseChecksums: true}, ""},
		{"s3", "NoDeleteObjects", "", quirks.Quirks{NoDeleteObjects: true}, "DeleteObject for each object"},
		{"s3", "NoDeleteObjectsAndNoChecksum", "&checksum=none", quirks.Quirks{NoDeleteObjects: true},
			"DeleteObject for each object"},
		{"minio", "DemandMD5", "", quirks.Quirks{DemandMD5: true}, ""},
		{"minio", "NoDeleteObjects", "", quirks.Quirks{NoDeleteObjects: true}, "DeleteObject for each object"},
	} {
		t.Run(test.driver+"/"+test.name, func(t *testing.T) {
			var log strings.Builder
			bucket, s := open(t, test.driver, test.parameters, test.quirks, slog.New(slog.NewTextHandler(&log, nil)))
			refused := -1
			for round := range 3 {
				var keys []string
				for i := range 40 {
					keys = append(keys, fmt.Sprintf("round/%d/%d", round, i))
					if err := s.Put(t.Context(), keys[i], []byte("body")); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Delete(t.Context(), append(keys, "not/there")...); err != nil {
					t.Fatal(err)
				}
				if n := bucket.Count(""); n != 0 {
					t.Errorf("%d objects are left", n)
				}
				total := 0
				for _, n := range bucket.Refused() {
					total += n
				}
				if refused >= 0 && total != refused {
					t.Errorf("round %d: %d requests were refused, %d before: %v", round, total, refused, bucket.Refused())
				}
				refused = total
			}
			lines := strings.Count(log.String(), "\n")
			if lines != min(len(test.want), 1) || !strings.Contains(log.String(), test.want) {
				t.Errorf("the log has %d lines: %s", lines, log.String())
			}
		})
	}
}

// TestChecksumAdvice puts into a store that refuses checksums: the error says what to do.
func TestChecksumAdvice(t *testing.T) {
	for driver := range drivers {
		_, s := open(t, driver, "", quirks.Quirks{RefuseChecksums: true}, nil)
		if err := s.Put(t.Context(), "key", []byte("body")); err == nil || !strings.Contains(err.Error(), "checksum=none") {
			t.Errorf("%s: %v", driver, err)
		}
	}
}

// TestDenied refuses everything with 403: that is said within two seconds, and soon over when only
// one request was refused.
func TestDenied(t *testing.T) {
	for driver := range drivers {
		bucket, s := open(t, driver, "", quirks.Quirks{}, nil)
		if err := s.Put(t.Context(), "first", nil); err != nil { // one client asks for the bucket's region before
			t.Fatal(err)
		}
		bucket.Set(quirks.Quirks{DenyEvery: 1})
		begun := time.Now()
		if err := s.Put(t.Context(), "key", []byte("body")); !errors.Is(err, s3api.ErrDenied) {
			t.Errorf("%s: %v", driver, err)
		}
		if took := time.Since(begun); took > 10*time.Second { // about half a second; a busy machine
			t.Errorf("%s: it took %v", driver, took)
		}
		if n := bucket.Refused()["AccessDenied"]; n != 5 {
			t.Errorf("%s: it was tried %d times", driver, n)
		}
	}
}
