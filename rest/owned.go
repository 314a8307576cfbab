package rest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"firn.dev/access"
)

// Idempotency keys and claims belong to the principal that brings them. The names that it chose for
// them get its own in front, with a zero byte between, which no client's own name may contain. Of
// clients that have not logged in they stay as they are.

// ofCaller is a name that the caller of a request has chosen, as nobody else's can be.
func ofCaller(ctx context.Context, name string) string {
	who := callerOf(ctx)
	if name == "" || who == nil || who.Principal == access.Anonymous {
		return name
	}
	sum := sha256.Sum256([]byte(who.Principal.String()))
	return base64.RawURLEncoding.EncodeToString(sum[:16]) + "\x00" + name
}

// holderOf is the holder of claims that a body names, as the group knows it.
func (s *Server) holderOf(r *http.Request, name string) (string, error) {
	longest := s.opts.Groups.Limits().HolderBytes
	own := ofCaller(r.Context(), name)
	if longest -= len(own) - len(name); name == "" || len(name) > longest || strings.ContainsRune(name, 0) {
		return "", invalid("holder", "has to be a name of 1 to %d bytes without zero bytes, of which no two consumers at "+
			"work have the same", longest)
	}
	return own, nil
}

// holderName is the name that its client chose for a holder.
func holderName(holder string) string {
	if _, name, owned := strings.Cut(holder, "\x00"); owned {
		return name
	}
	return holder
}
