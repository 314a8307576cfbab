package kafka

import (
	"crypto/tls"
	"sync"
	"time"
)

// encryptBytes is how much of a response TLS is given at a time: four of its records.
const encryptBytes = 64 << 10

var plainPieces = sync.Pool{New: func() any { return new([encryptBytes]byte) }}

// encrypt writes what is left to a TLS connection. TLS cannot go on after a write that timed out,
// so it gets a copy: the rest may be set aside while it waits for the client.
func (o *outgoing) encrypt(secure *tls.Conn, patience time.Duration, finish time.Time) error {
	defer secure.SetWriteDeadline(time.Time{})
	piece := plainPieces.Get().(*[encryptBytes]byte)
	defer plainPieces.Put(piece)
	var mu sync.Mutex
	slow := time.AfterFunc(asideAfter, func() {
		mu.Lock()
		defer mu.Unlock()
		if !o.aside && o.left > 0 {
			o.setAside()
		}
	})
	defer func() {
		slow.Stop()
		mu.Lock()
		defer mu.Unlock()
		o.left = 0 // a setAside that has begun to wait for mu has nothing to do
	}()
	for {
		mu.Lock()
		n := o.take(piece[:])
		mu.Unlock()
		if n == 0 {
			return nil
		}
		slow.Reset(asideAfter)
		deadline := time.Now().Add(patience)
		if deadline.After(finish) {
			deadline = finish
		}
		if err := secure.SetWriteDeadline(deadline); err != nil {
			return err
		}
		if _, err := secure.Write(piece[:n]); err != nil {
			return err
		}
	}
}

// take moves the next bytes into p, and lets go of the buffers that they were part of.
func (o *outgoing) take(p []byte) (n int) {
	for n < len(p) && len(o.bufs) > 0 {
		m := copy(p[n:], o.bufs[0])
		n += m
		o.skip(m)
		for len(o.bufs) > 0 && len(o.bufs[0]) == 0 {
			o.bufs = o.bufs[1:]
		}
	}
	if o.left -= n; o.left > 0 {
		o.memory.ShrinkTo(int64(o.left))
	}
	return n
}
