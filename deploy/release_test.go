//go:build linux

package deploy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// release makes a release for this machine's kind alone, from the sources at root, and returns its
// files by name.
func release(t *testing.T, root string) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(root, "deploy/release/release"), "v0.0.1-test", dir, runtime.GOOS+"/"+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		files[e.Name()] = []byte(read(t, filepath.Join(dir, e.Name())))
	}
	return files
}

// TestReleaseIsStaticAndReproducible makes a release twice, the second time from sources that lie,
// by their path, elsewhere.
func TestReleaseIsStaticAndReproducible(t *testing.T) {
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(here, elsewhere); err != nil {
		t.Fatal(err)
	}
	files, again := release(t, here), release(t, elsewhere)
	name := fmt.Sprintf("firn_v0.0.1-test_%s_%s", runtime.GOOS, runtime.GOARCH)
	if len(files) != 3 || len(again) != 3 || files[name] == nil || files[name+".cdx.json"] == nil {
		t.Fatalf("%d and %d files", len(files), len(again))
	}
	for name, content := range files {
		if !bytes.Equal(content, again[name]) {
			t.Errorf("%s differs between two builds of the same sources", name)
		}
	}
	for _, path := range []string{here, elsewhere} {
		if bytes.Contains(files[name], []byte(path+"/")) {
			t.Errorf("the binary holds the path of its sources, %s", path)
		}
	}
	checkSums(t, files)
	binary := filepath.Join(t.TempDir(), "firn")
	if err := os.WriteFile(binary, files[name], 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, _ := file.ImportedLibraries(); len(libraries) > 0 {
		t.Errorf("it needs %v", libraries)
	}
	if out, err := exec.Command(binary, "version").Output(); err != nil ||
		!strings.HasPrefix(string(out), "firn version v0.0.1-test ") {
		t.Errorf("version: %q (%v)", out, err)
	}
	checkMaterials(t, binary, files[name+".cdx.json"])
}

// checkSums wants SHA256SUMS to hold every other file.
func checkSums(t *testing.T, files map[string][]byte) {
	t.Helper()
	summed := 0
	for lines := bufio.NewScanner(bytes.NewReader(files["SHA256SUMS"])); lines.Scan(); summed++ {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		if got := fmt.Sprintf("%x", sha256.Sum256(files[name])); files[name] == nil || got != sum {
			t.Errorf("%s has the sum %s, not %s", name, got, sum)
		}
	}
	if summed != len(files)-1 {
		t.Errorf("%d files are summed, of %d", summed, len(files)-1)
	}
}

// checkMaterials holds the bill of materials against what the linker wrote into the binary.
func checkMaterials(t *testing.T, binary string, bill []byte) {
	t.Helper()
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(bill), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range *bom.Components {
		listed[c.PackageURL] = true
	}
	for _, dep := range info.Deps {
		if url := "pkg:golang/" + dep.Path + "@" + dep.Version; dep.Replace == nil && !listed[url] {
			t.Errorf("the bill of materials does not list %s", url)
		}
	}
	if len(info.Deps) < 10 || !listed["pkg:golang/std@"+strings.TrimPrefix(info.GoVersion, "go")] {
		t.Errorf("%d modules, and no standard library among %d components", len(info.Deps), len(listed))
	}
}

// TestDebianPackage makes the package twice and unpacks it. A program of one line stands in for
// firn, which takes a minute to compress.
func TestDebianPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Fatal("dpkg-deb is missing: run 'make test-needs'")
	}
	binary := filepath.Join(t.TempDir(), "firn")
	program := "#!/bin/sh\nif [ $1 = man ]; then echo page > $2/firn.1; else echo firn; fi\n"
	if err := os.WriteFile(binary, []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	var packages [2][]byte
	root := t.TempDir()
	for i := range packages {
		path := filepath.Join(t.TempDir(), "firn.deb")
		if out, err := exec.Command("debian/package", "v0.0.1-test", runtime.GOARCH, binary,
			path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		packages[i] = []byte(read(t, path))
		if out, err := exec.Command("dpkg-deb", "--raw-extract", path,
			filepath.Join(root, fmt.Sprint(i))).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	root = filepath.Join(root, "0")
	if !bytes.Equal(packages[0], packages[1]) {
		t.Error("two packages of the same binary differ")
	}
	for path, mode := range map[string]os.FileMode{
		"usr/bin/firn": 0o755, "usr/lib/systemd/system/firn.service": 0o644, "etc/firn/firn.env": 0o600,
		"DEBIAN/postinst": 0o755, "DEBIAN/conffiles": 0o644, "usr/share/man/man1/firn.1.gz": 0o644,
		"usr/share/bash-completion/completions/firn": 0o644, "usr/share/zsh/vendor-completions/_firn": 0o644,
		"usr/share/fish/vendor_completions.d/firn.fish": 0o644,
	} {
		if info, err := os.Stat(filepath.Join(root, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, want mode %o", path, err, mode)
		}
	}
	if control := read(t, filepath.Join(root, "DEBIAN/control")); !strings.Contains(control, "Version: 0.0.1-test\n") ||
		strings.Contains(control, "@ARCH") {
		t.Errorf("control: %s", control)
	}
}
