package main

import (
	"crypto/x509/pkix"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"firn.dev/access/login/logintest"
)

// certify makes ca.pem, server.pem and server.key, and NAME.pem and NAME.key for each name.
func certify(t testing.TB) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, names []string) {
		authority, dir := logintest.NewAuthority(t), ts.Getenv("WORK")
		for _, name := range names {
			files := authority.Write(dir, authority.Issue(pkix.Name{CommonName: name}))
			ts.Check(os.Rename(files.Certificate, ts.MkAbs(name+".pem")))
			ts.Check(os.Rename(files.Key, ts.MkAbs(name+".key")))
		}
		authority.Write(dir, authority.Issue(pkix.Name{CommonName: "server"}))
	}
}
