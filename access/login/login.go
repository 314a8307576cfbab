// Package login proves who a client is: by its certificate (TLS), or by a password (SASL and HTTP's
// Basic). It knows nothing of the requests that clients send, and nothing of what they may do: that
// is package access.
package login
