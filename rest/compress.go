package rest

import (
	"net/http"

	"github.com/klauspost/compress/gzhttp"
)

// compressible are the answers that are compressed for clients that ask for it. Tails are not: they
// would come late.
var compressible = []string{typeJSON, typeNDJSON, "application/problem+json", "text/css", "text/javascript"}

// minCompressed is the length from which on compressing pays.
const minCompressed = 1 << 10

// newCompressor returns what compresses answers with gzip, fast rather than small.
func newCompressor() (func(http.Handler) http.HandlerFunc, error) {
	return gzhttp.NewWrapper(gzhttp.MinSize(minCompressed), gzhttp.CompressionLevel(1), gzhttp.ContentTypes(compressible),
		gzhttp.EnableZstd(false))
}

// compressed has a handler's answers compressed.
func (s *Server) compressed(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) (err error) {
		s.compress(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { err = h(w, r) })).ServeHTTP(w, r)
		return err
	}
}

// sameOrigin refuses what a page of another origin has a browser send that changes something: who
// looks at that page did not ask for it.
func sameOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, problem{Status: http.StatusForbidden, Field: "Origin",
			Detail: "a page of another origin sent this request; CORS is off"})
	}))
	return p.Handler(next)
}
