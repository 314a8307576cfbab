package minio

import (
	"testing"

	"firn.dev/localstack"
	"firn.dev/segments"
	"firn.dev/segments/storetest"
)

// TestUploadFaults breaks uploads on the way to MinIO.
func TestUploadFaults(t *testing.T) {
	proxy := storetest.NewProxy(t, servers["MinIO"].Addr)
	behind := localstack.S3{Server: &localstack.Server{Addr: proxy.Addr}}
	storetest.RunUploadFaults(t, proxy, func(t *testing.T) segments.Store { return openAt(t, behind) })
}

// TestAbandonedUpload asks both servers.
func TestAbandonedUpload(t *testing.T) {
	for name, server := range servers {
		if n := storetest.TestAbandoned(t, openAt(t, server)); n != 1 {
			t.Errorf("%s: %d uploads are cleaned away", name, n)
		}
	}
}
