package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// Names in a place that a replay writes files into. Engines pass over what begins with an
// underscore.
const (
	jobKey        = "_firn/replay.json"
	appendedJobs  = "_firn/replay-"   // and a number: what was appended to it
	completedJobs = "_firn/complete-" // and the number of one of those
	finishedKeys  = "_firn/finished/"
	successKey    = "_SUCCESS"
)

// Job says what a replay into files is: as long as it is not complete, the same job goes on where
// it was interrupted. When it is complete, another call appends what was written since, if Append
// says so.
type Job struct {
	Topic   string          `json:"topic"`
	TopicID string          `json:"topic_id"`
	Request string          `json:"request"` // places and partitions, as they were asked for
	Format  string          `json:"format"`
	Schema  json.RawMessage `json:"schema,omitempty"`
	Ranges  []Range         `json:"ranges"` // what was found when it began, without what files hold from before
	Append  bool            `json:"-"`
}

// since returns these ranges without what a complete job covers, and how many offsets that leaves.
func (j *Job) since(ranges []Range) (later []Range, offsets int64) {
	covered := map[int32]int64{}
	for _, r := range j.Ranges {
		covered[r.Partition] = r.To
	}
	for _, r := range ranges {
		r.From = max(r.From, covered[r.Partition])
		r.To = max(r.To, r.From)
		later, offsets = append(later, r), offsets+r.To-r.From
	}
	return later, offsets
}

// finished is what a finished file holds.
type finished struct {
	File      string `json:"file"`
	Partition int32  `json:"partition"`
	Base      int64  `json:"base"` // first offset
	Next      int64  `json:"next"` // behind the last: where the next file begins
	Records   int64  `json:"records"`
	Bytes     int64  `json:"bytes"`
}

var (
	// ErrOtherJob says that the files of another replay are in the way.
	ErrOtherJob = errors.New("another replay was begun there")

	// ErrComplete says that the replay is complete, and that there are records behind it: append them,
	// or write them somewhere else.
	ErrComplete = errors.New("the replay there is complete, and does not cover what was written since")
)

// Files is an Output that writes each partition into files of its own, cut at a size, in a
// directory or a bucket. A file appears when it is finished, and what it holds is written down
// behind it; so what was interrupted goes on with the first file that is not finished.
type Files struct {
	store     segments.Store
	job       Job
	format    Format
	fileBytes int64
	number    int  // of the job: 0, and one more each time that something is appended
	began     bool // anew
	complete  bool // before this call, with nothing to append
	next      map[int32]int64
}

// OpenFiles begins a job, or finds out how far it got. fileBytes is where files are cut. The job
// that it has, with Job, is the one that was begun.
func OpenFiles(ctx context.Context, store segments.Store, job Job) (*Files, error) {
	f := &Files{store: store, job: job, next: map[int32]int64{}}
	for _, r := range job.Ranges {
		if r.To == math.MaxInt64 {
			return nil, errors.New("what is followed has no end, and cannot be written into files")
		}
	}
	text, err := json.MarshalIndent(job, "", " ")
	if err != nil {
		return nil, err
	}
	err = store.Put(ctx, jobKey, append(text, '\n'))
	if err == nil {
		f.began = true
		return f, nil
	}
	if !errors.Is(err, segments.ErrExists) {
		return nil, err
	}
	appended, err := f.newest(ctx)
	if err != nil {
		return nil, err
	}
	if f.job.TopicID != job.TopicID || f.job.Request != job.Request || f.job.Format != job.Format {
		return nil, fmt.Errorf("%w: %s as %s, %s; remove it, or write somewhere else", ErrOtherJob, f.job.Topic, f.job.Format,
			f.job.Request)
	}
	f.number = appended
	_, err = store.Get(ctx, f.doneKey(), 0, -1)
	switch {
	case err == nil:
		err = f.goOn(ctx, job)
	case errors.Is(err, segments.ErrNotFound) && f.number > 0:
		err = f.unmark(ctx)
	case errors.Is(err, segments.ErrNotFound):
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return f, f.resume(ctx)
}

// doneKey is the key of the object that says that the job is complete. The name that engines look
// for stands for the first job alone: a crash may leave it behind when the next has begun.
func (f *Files) doneKey() string {
	if f.number == 0 {
		return successKey
	}
	return fmt.Sprintf("%s%05d", completedJobs, f.number)
}

// newest reads the job that was begun last, and says how many were appended to the first.
func (f *Files) newest(ctx context.Context) (appended int, err error) {
	key := jobKey
	for object, err := range f.store.List(ctx, appendedJobs, "") {
		if err != nil {
			return 0, err
		}
		key = object.Key
		appended++
	}
	text, err := f.store.Get(ctx, key, 0, -1)
	if err != nil {
		return 0, err
	}
	f.job = Job{}
	if err := json.Unmarshal(text, &f.job); err != nil {
		return 0, fmt.Errorf("%s: %w; remove what is there, or write somewhere else", key, err)
	}
	return appended, nil
}

// goOn begins to append what was written since a job was completed.
func (f *Files) goOn(ctx context.Context, job Job) error {
	later, offsets := f.job.since(job.Ranges)
	switch {
	case offsets == 0:
		f.complete = true
		return f.Succeed(ctx) // in case that a crash came in between
	case !job.Append:
		return fmt.Errorf("%w: %d offsets", ErrComplete, offsets)
	}
	f.job.Ranges = later
	f.number++
	text, err := json.MarshalIndent(f.job, "", " ")
	if err != nil {
		return err
	}
	if err := f.store.Put(ctx, fmt.Sprintf("%s%05d.json", appendedJobs, f.number), append(text, '\n')); err != nil {
		return err
	}
	return f.unmark(ctx)
}

// unmark takes away what says to engines that all is there, because a job that comes after that one
// has begun.
func (f *Files) unmark(ctx context.Context) error { return f.store.Delete(ctx, successKey) }

// Job is the job as it was begun.
func (f *Files) Job() Job { return f.job }

// Resumed says whether the job was begun before.
func (f *Files) Resumed() bool { return !f.began }

// Complete says whether the job was complete before, and nothing was written since.
func (f *Files) Complete() bool { return f.complete }

// Left are the ranges that are still to be written.
func (f *Files) Left() []Range {
	if f.complete {
		return nil
	}
	var left []Range
	for _, r := range f.job.Ranges {
		r.From = max(r.From, f.next[r.Partition])
		if r.From < r.To {
			left = append(left, r)
		}
	}
	return left
}

// Use says how files are written: in a format that the job names, cut where they reach a size in
// bytes.
func (f *Files) Use(format Format, fileBytes int64) { f.format, f.fileBytes = format, fileBytes }

// resume finds what is finished, and removes what is not.
func (f *Files) resume(ctx context.Context) error {
	whole := map[string]bool{}
	for object, err := range f.store.List(ctx, finishedKeys, "") {
		if err != nil {
			return err
		}
		text, err := f.store.Get(ctx, object.Key, 0, -1)
		if err != nil {
			return err
		}
		var file finished
		if err := json.Unmarshal(text, &file); err != nil {
			return fmt.Errorf("%s: %w; remove what is there, or write somewhere else", object.Key, err)
		}
		whole[file.File] = true
		f.next[file.Partition] = max(f.next[file.Partition], file.Next)
	}
	var unfinished []string
	for object, err := range f.store.List(ctx, f.job.Topic+"-", "") {
		if err != nil {
			return err
		}
		if !whole[object.Key] && !strings.Contains(object.Key, "/") {
			unfinished = append(unfinished, object.Key)
		}
	}
	if len(unfinished) > 0 {
		if err := f.store.Delete(ctx, unfinished...); err != nil {
			return err
		}
	}
	// uploads of a process that died; another may not write here
	if _, err := segments.Clean(ctx, f.store, time.Now()); err != nil {
		return fmt.Errorf("remove unfinished uploads: %w", err)
	}
	return nil
}

// Succeed says, for engines that look for it, that all is there. It is called when Run has returned
// nil.
func (f *Files) Succeed(ctx context.Context) error {
	for _, key := range slices.Compact([]string{f.doneKey(), successKey}) {
		if err := f.store.Put(ctx, key, []byte("\n")); err != nil && !errors.Is(err, segments.ErrExists) {
			return err
		}
	}
	return nil
}

// uploadBytes is what an upload into a bucket holds.
const uploadBytes = 16 << 20

// Memory implements Output.
func (f *Files) Memory() int64 { return f.format.Memory + uploadBytes }

// Open implements Output.
func (f *Files) Open(ctx context.Context, r Range) (Sink, error) {
	return &fileSink{files: f, ctx: ctx, next: r.From, end: r.To, partition: r.Partition}, nil
}

// fileSink writes one partition's files, one after the other.
type fileSink struct {
	files     *Files
	ctx       context.Context // of the whole Run
	partition int32
	next, end int64 // offsets

	file    finished
	upload  segments.Upload // nil between files
	encoder Encoder
	written writer
	held    int64 // of records, in bytes: lines are collected before they are written
}

// writer counts what goes into a file.
type writer struct {
	w io.Writer
	n int64
}

func (c *writer) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// Write implements Sink.
func (s *fileSink) Write(records []batch.Record, next int64) error {
	if s.upload == nil && len(records) > 0 {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if len(records) > 0 {
		if err := s.encoder.Encode(s.partition, records); err != nil {
			return fmt.Errorf("%s: %w", s.file.File, err)
		}
	}
	s.file.Records += int64(len(records))
	if s.files.format.Lines {
		for i := range records {
			s.held += int64(len(records[i].Value))
		}
	}
	s.next = next
	if s.upload != nil && max(s.written.n, s.held) >= s.files.fileBytes {
		return s.finish()
	}
	return nil
}

func (s *fileSink) begin() (err error) {
	s.file = finished{Partition: s.partition, Base: s.next}
	s.file.File = fmt.Sprintf("%s-%05d-%020d.%s", s.files.job.Topic, s.partition, s.next, s.files.format.Extension)
	if s.upload, err = s.files.store.Create(s.ctx, s.file.File); err != nil {
		return err
	}
	s.written, s.held = writer{w: s.upload}, 0
	s.encoder, err = s.files.format.New(&s.written)
	return err
}

// finish makes the file appear, and writes down what it holds.
func (s *fileSink) finish() error {
	if err := s.encoder.Close(); err != nil {
		return fmt.Errorf("%s: %w", s.file.File, err)
	}
	if err := s.upload.Commit(); err != nil {
		return err
	}
	s.upload, s.encoder = nil, nil
	s.file.Next, s.file.Bytes = s.next, s.written.n
	text, err := json.Marshal(s.file)
	if err != nil {
		return err
	}
	err = s.files.store.Put(s.ctx, fmt.Sprintf("%s%05d-%020d.json", finishedKeys, s.partition, s.file.Base),
		append(text, '\n'))
	if errors.Is(err, segments.ErrExists) {
		return nil // it is ours: nobody else writes here, and what is unfinished was removed
	}
	return err
}

// Idle implements Sink. Files appear when they are finished.
func (s *fileSink) Idle() error { return nil }

// Close implements Sink.
func (s *fileSink) Close() error {
	if s.upload == nil {
		return nil
	}
	s.next = s.end
	return s.finish()
}

// Abort implements Sink.
func (s *fileSink) Abort() {
	if s.upload != nil {
		_ = s.upload.Abort() // a resumed replay removes the rest
		s.upload = nil
	}
}
