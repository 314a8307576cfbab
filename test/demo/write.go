package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// write pipes every line of every .go file into kcat, as path, tab, line, and returns what it piped
// and the bytes of the lines.
//
// kcat drops a line of input that is wholly empty. None is: every line carries its key, and what
// stands behind the tab arrives as it is, be it empty, or with tabs, carriage returns and bytes
// that are not UTF-8 in it.
func (d demo) write(ctx context.Context, bootstrap string) (digests, int64, error) {
	kcat := exec.CommandContext(ctx, "kcat", "-P", "-b", bootstrap, "-t", topic, "-K", "\t",
		"-X", "enable.idempotence=true", "-X", fmt.Sprintf("message.max.bytes=%d", maxMessageBytes))
	var complaints bytes.Buffer
	kcat.Stdout, kcat.Stderr = &complaints, &complaints
	in, err := kcat.StdinPipe()
	if err != nil {
		return nil, 0, err
	}
	if err := kcat.Start(); err != nil {
		return nil, 0, fmt.Errorf("kcat: %w (make test installs it)", err)
	}
	lines := newLineWriter(in, d.say)
	walkErr := filepath.WalkDir(d.source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.HasSuffix(path, ".go") {
			return err
		}
		key, err := filepath.Rel(d.source, path)
		if err != nil {
			return err
		}
		return lines.copyFile(key, path)
	})
	if walkErr == nil {
		walkErr = lines.out.Flush()
	}
	in.Close()
	// kcat's end comes first: when it gives up, our write fails too, and its words say why.
	if err := kcat.Wait(); err != nil {
		return nil, 0, fmt.Errorf("kcat: %w: %s", err, &complaints)
	}
	if complaints.Len() > 0 {
		return nil, 0, fmt.Errorf("kcat says: %s", &complaints)
	}
	return lines.found.sum(), lines.bytes, walkErr
}

// lineWriter pipes lines with their keys, and adds them up.
type lineWriter struct {
	out     *bufio.Writer
	found   hashes
	records int64
	bytes   int64
	say     func(format string, args ...any)
	said    time.Time
}

func newLineWriter(out io.Writer, say func(string, ...any)) *lineWriter {
	return &lineWriter{out: bufio.NewWriterSize(out, 1<<20), found: hashes{}, say: say, said: time.Now()}
}

// sayEvery is how often long work says how far it is.
const sayEvery = 2 * time.Second

func (w *lineWriter) copyFile(key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
		if err := w.add(key, bytes.TrimSuffix(line, []byte{'\n'})); err != nil {
			return err
		}
	}
}

// add relies on bufio.Writer keeping its first error.
func (w *lineWriter) add(key string, line []byte) error {
	w.found.add(key, line)
	w.records++
	w.bytes += int64(len(line))
	if time.Since(w.said) > sayEvery {
		w.said = time.Now()
		w.say("         … %d records", w.records)
	}
	w.out.WriteString(key)
	w.out.WriteByte('\t')
	w.out.Write(line)
	return w.out.WriteByte('\n')
}
