package storetest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"

	"firn.dev/segments"
)

// The requests of an upload to an S3 server.
var (
	beginUpload    = func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") }
	sendPart       = func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Has("partNumber") }
	completeUpload = func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }
	putWhole       = func(r *http.Request) bool { return r.Method == http.MethodPut && !r.URL.Query().Has("partNumber") }
	headObject     = func(r *http.Request) bool { return r.Method == http.MethodHead }
)

// strike is what happens to the first request that matches.
type strike struct {
	match    func(*http.Request) bool
	exchange Exchange
}

// strikes is a script of them.
func strikes(all ...strike) func(*http.Request) Exchange {
	struck := make([]bool, len(all))
	return func(r *http.Request) Exchange {
		for i, s := range all {
			if !struck[i] && s.match(r) {
				struck[i] = true
				return s.exchange
			}
		}
		return Exchange{}
	}
}

// RunUploadFaults breaks uploads of an S3 driver on the way to its server, which it reaches through
// the proxy. open returns an empty store.
func RunUploadFaults(t *testing.T, proxy *Proxy, open func(t *testing.T) segments.Store) {
	const small, parts = 1000, partBytes + 1000
	slow, internal := Exchange{Refuse: "SlowDown"}, Exchange{Refuse: "InternalError",
		Status: http.StatusInternalServerError}
	refused, lost := Exchange{Refuse: "InvalidRequest", Status: http.StatusBadRequest}, Exchange{Lose: true}
	for _, test := range []struct {
		name    string
		size    int
		strikes []strike
		commits int // how many Commits it takes: 0 if it cannot succeed
	}{
		{"PartRefused", parts, []strike{{sendPart, slow}, {sendPart, internal}}, 1},
		{"PartLost", parts, []strike{{sendPart, lost}, {sendPart, lost}}, 1},
		{"PartCorrupted", parts, []strike{{sendPart, Exchange{Corrupt: true}}}, 0},
		{"PartRefused", parts, []strike{{sendPart, refused}}, 0},
		{"BeginRefused", parts, []strike{{beginUpload, slow}}, 1},
		{"BeginRefused", parts, []strike{{beginUpload, refused}}, 0},
		{"CommitLost", parts, []strike{{completeUpload, lost}}, 1},
		{"CommitLostSmall", small, []strike{{putWhole, lost}}, 1},
		{"CommitRefused", parts, []strike{{completeUpload, slow}}, 1},
		{"CommitFails", parts, []strike{{completeUpload, internal}}, 2},
		{"CommitFailsSmall", small, []strike{{putWhole, internal}}, 2},
		{"CommitLostAndLookFails", parts, []strike{{completeUpload, lost}, {headObject, refused}}, 2},
		{"CommitLostAndLookFailsSmall", small, []strike{{putWhole, lost}, {headObject, refused}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxy.Script(nil)
			store := open(t)
			proxy.Script(strikes(test.strikes...))
			u, err := store.Create(t.Context(), "segments/x")
			if err != nil {
				t.Fatal(err)
			}
			body := noise(test.size)
			commits := 0
			if err = write(u, body); err == nil {
				for commits, err = 1, u.Commit(); err != nil && commits < 3; commits++ {
					if errors.Is(err, segments.ErrExists) {
						t.Fatal("refused because of itself:", err)
					}
					err = u.Commit()
				}
			}
			if aborted := u.Abort(); aborted != nil {
				t.Error(aborted)
			}
			got, missing := store.Get(t.Context(), "segments/x", 0, -1)
			switch {
			case test.commits == 0:
				if err == nil || !errors.Is(missing, segments.ErrNotFound) {
					t.Errorf("it ended with %v, and the object with %v", err, missing)
				}
			case err != nil || commits != test.commits || !bytes.Equal(got, body):
				t.Errorf("%d commits, %v; %d bytes, %v", commits, err, len(got), missing)
			}
		})
	}
	t.Run("AbortedByWhoeverWaits", func(t *testing.T) {
		proxy.Script(nil)
		store := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		proxy.Script(func(r *http.Request) Exchange {
			if sendPart(r) {
				cancel()
				return slow
			}
			return Exchange{}
		})
		u, err := store.Create(ctx, "segments/x")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(write(u, noise(parts)), u.Commit()); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := u.Abort(); err != nil {
			t.Error(err)
		}
		if seen := proxy.Seen(); seen[len(seen)-1] != http.MethodDelete {
			t.Errorf("the upload was not aborted: %v", seen)
		}
	})
}
