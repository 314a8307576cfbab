package rest

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// What of a body is still read after the request is answered. A client that sends more, or for
// longer, is let go.
const (
	lingerTime  = 10 * time.Second
	lingerBytes = 64 << 20
)

// lingering reads what is left of a body once its request is answered. Closing a connection whose
// client still sends resets it, and the reset can overtake the answer (RFC 9112, 9.6): a client
// would not learn that it was refused, and why. An answer whose length is not known beforehand ends
// with the connection's turn, and is not kept from its client.
func lingering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // the answer does not wait for the body; HTTP/2 is so anyhow
		body := &watchedBody{ReadCloser: r.Body}
		r = r.WithContext(r.Context()) // net/http looks at the Body of its own one
		r.Body = body
		next.ServeHTTP(w, r)
		ends(r)
		whole := w.Header().Get("Content-Length") != ""
		if !whole || body.ended.Load() || r.ProtoMajor > 1 || control.Flush() != nil ||
			control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, body, lingerBytes)
	})
}

// watchedBody notes whether a body has been read to its end, or cannot be.
type watchedBody struct {
	io.ReadCloser
	ended atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}
