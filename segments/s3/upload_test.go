package s3

import (
	"testing"

	"firn.dev/localstack"
	"firn.dev/segments"
	"firn.dev/segments/storetest"
)

// TestUploadFaults breaks uploads on the way to both servers.
func TestUploadFaults(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			proxy := storetest.NewProxy(t, server.Addr)
			behind := localstack.S3{Server: &localstack.Server{Addr: proxy.Addr}}
			storetest.RunUploadFaults(t, proxy, func(t *testing.T) segments.Store { return openAt(t, behind, "") })
		})
	}
}

// TestAbandonedUpload asks versitygw: MinIO lists no uploads by the beginning of their keys, and
// removes them by itself.
func TestAbandonedUpload(t *testing.T) {
	if n := storetest.TestAbandoned(t, openAt(t, servers["versitygw"], "")); n != 1 {
		t.Errorf("%d uploads are cleaned away", n)
	}
}

// TestUploadWithoutChecksums is for stores that refuse them.
func TestUploadWithoutChecksums(t *testing.T) {
	storetest.TestAbandoned(t, openAt(t, servers["MinIO"], "&checksum=none"))
}
