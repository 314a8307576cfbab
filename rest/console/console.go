// Package console is what / shows to people: a page, its style, and the modules of its script, as
// they are. They ask the API for what they show, and need nothing from elsewhere.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"path"
)

//go:embed *.html *.css *.js
var embedded embed.FS

// Policy is the Content-Security-Policy of all files: scripts and styles are this server's own, the
// page asks no other server, and nobody shows it in a frame.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// File is one of the console's files.
type File struct {
	Type string // for the header Content-Type
	Tag  string // for the header ETag: other bytes have another
	Body []byte
}

// types are those of the files, by the ends of their names.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
}

// Page is the name of the file that / shows.
const Page = "index.html"

// Files returns all files by their names.
func Files() map[string]File {
	names, err := fs.Glob(embedded, "*")
	if err != nil {
		panic(err) // the pattern is well-formed
	}
	files := map[string]File{}
	for _, name := range names {
		body, err := embedded.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(body)
		files[name] = File{Type: types[path.Ext(name)], Body: body,
			Tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return files
}
