package kafka

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"firn.dev/budget"
)

// writePieceBytes is how much of a response is written under one deadline: a client that takes it
// slowly is waited for, one that takes nothing is not.
const writePieceBytes = 1 << 20

// asideAfter is how long a response may lie in the memory that others share, in part: some of its
// bytes may be all that is left alive of a large segment. A client that has not taken it by then
// gets a copy of the rest.
const asideAfter = 250 * time.Millisecond

// outgoing is a response on its way to its client.
type outgoing struct {
	bufs   net.Buffers
	left   int // bytes
	memory *budget.Hold
	aside  bool // what is left is a copy
}

// write writes one response, whose first four bytes are kept free for its length.
func (c *connection) write(bufs net.Buffers, memory *budget.Hold) error {
	out := outgoing{bufs: bufs, left: size(bufs), memory: memory}
	whole := out.left
	if whole-4 > 1<<31-1 {
		return fmt.Errorf("response of %d bytes", whole)
	}
	memory.ShrinkTo(int64(whole))
	binary.BigEndian.PutUint32(bufs[0], uint32(whole-4))
	limits := &c.s.opts.Limits
	finish := time.Now().Add(limits.WriteTimeout + limits.timeFor(whole))
	if err := c.writeAll(&out, finish); err != nil {
		return fmt.Errorf("writing a response: %w", err)
	}
	c.s.metrics.bytesOut.Add(float64(whole))
	return nil
}

// writeAll writes what is left until finish.
func (c *connection) writeAll(out *outgoing, finish time.Time) error {
	limits := &c.s.opts.Limits
	if secure, is := c.nc.(*tls.Conn); is {
		return out.encrypt(secure, limits.WriteTimeout, finish)
	}
	for out.left > 0 {
		patience := limits.WriteTimeout
		if !out.aside {
			patience = min(asideAfter, patience)
		}
		deadline := time.Now().Add(patience)
		if deadline.After(finish) {
			deadline = finish
		}
		if err := c.nc.SetWriteDeadline(deadline); err != nil {
			return err
		}
		err := out.writePiece(c.nc)
		if errors.Is(err, os.ErrDeadlineExceeded) && !out.aside {
			out.setAside()
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writePiece writes the next piece, and removes the bytes that were written from o, also after an
// error.
func (o *outgoing) writePiece(nc net.Conn) error {
	n, bytes := 0, 0
	for n < len(o.bufs) && bytes < writePieceBytes {
		bytes += len(o.bufs[n])
		n++
	}
	piece := append(net.Buffers(nil), o.bufs[:n]...)
	var rest []byte // of the last buffer
	if over := bytes - writePieceBytes; over > 0 {
		last := piece[n-1]
		piece[n-1], rest = last[:len(last)-over], last[len(last)-over:]
		bytes -= over
	}
	written, err := piece.WriteTo(nc)
	o.left -= int(written)
	if err != nil {
		o.skip(int(written))
		return err
	}
	clear(o.bufs[:n]) // nothing else may keep what was written alive
	o.bufs = o.bufs[n:]
	if len(rest) > 0 {
		o.bufs = append(net.Buffers{rest}, o.bufs...)
	}
	if o.left > 0 {
		o.memory.ShrinkTo(int64(o.left))
	}
	return nil
}

// skip drops n bytes from the front.
func (o *outgoing) skip(n int) {
	for n > 0 {
		if n < len(o.bufs[0]) {
			o.bufs[0] = o.bufs[0][n:]
			return
		}
		n -= len(o.bufs[0])
		o.bufs[0] = nil
		o.bufs = o.bufs[1:]
	}
}

// setAside copies what is left, if there is memory for a copy, and lets go of what it was part of.
func (o *outgoing) setAside() {
	o.aside = true
	if !o.memory.TryGrow(int64(o.left)) {
		return
	}
	rest := make([]byte, 0, o.left)
	for i, b := range o.bufs {
		rest = append(rest, b...)
		o.bufs[i] = nil
	}
	o.bufs = net.Buffers{rest}
	o.memory.ShrinkTo(int64(o.left))
}

// timeFor is how long a client may take for n bytes, at the slowest.
func (l *Limits) timeFor(n int) time.Duration {
	return time.Duration(float64(n) / float64(l.MinBytesPerSecond) * float64(time.Second))
}
