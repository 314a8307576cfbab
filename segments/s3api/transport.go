package s3api

import (
	"net"
	"net/http"
	"time"
)

// Tune gives a transport the limits that a store needs: deadlines for each stage of a request, and
// enough idle connections that parallel puts and gets do not open new ones all the time.
func Tune(t *http.Transport) {
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 5 * time.Second
	t.ResponseHeaderTimeout = answerTime
	t.IdleConnTimeout = time.Minute
	t.MaxIdleConns = maxConnections
	t.MaxIdleConnsPerHost = maxConnections
	t.MaxConnsPerHost = maxConnections
	t.WriteBufferSize = 64 << 10
	t.ReadBufferSize = 64 << 10
	t.DisableCompression = true // segments hold compressed batches
}

// maxConnections bounds the connections to one server. Requests beyond it wait for one.
const maxConnections = 256
