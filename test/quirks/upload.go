package quirks

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (b *Bucket) begin(w http.ResponseWriter, r *http.Request, key string) *refusal {
	b.requests++
	id := fmt.Sprintf("upload-%d", b.requests)
	b.uploads[id] = &upload{key: key, metadata: r.Header, begun: time.Now(), parts: map[int][]byte{}}
	const form = "<InitiateMultipartUploadResult><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>"
	fmt.Fprintf(w, form, key, id)
	return nil
}

func (b *Bucket) part(w http.ResponseWriter, id, number string, body []byte) *refusal {
	n, err := strconv.Atoi(number)
	u := b.uploads[id]
	if u == nil || err != nil {
		return noSuchUpload
	}
	u.parts[n] = body
	w.Header().Set("ETag", etag(body))
	return nil
}

func (b *Bucket) complete(w http.ResponseWriter, r *http.Request, key, id string, body []byte) *refusal {
	u := b.uploads[id]
	if u == nil {
		return noSuchUpload
	}
	var named struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if xml.Unmarshal(body, &named) != nil {
		return badBody
	}
	var whole bytes.Buffer
	for _, p := range named.Part {
		if strings.Trim(p.ETag, `"`) != strings.Trim(etag(u.parts[p.PartNumber]), `"`) {
			return &refusal{http.StatusBadRequest, "InvalidPart", "a part could not be found"}
		}
		whole.Write(u.parts[p.PartNumber])
	}
	if refused := b.put(w, r, key, whole.Bytes(), u.metadata); refused != nil {
		return refused
	}
	delete(b.uploads, id)
	fmt.Fprintf(w, "<CompleteMultipartUploadResult><Key>%s</Key></CompleteMultipartUploadResult>", key)
	return nil
}

func (b *Bucket) listUploads(w http.ResponseWriter) *refusal {
	type listedUpload struct {
		Key, UploadId string
		Initiated     string
	}
	var page struct {
		XMLName     xml.Name `xml:"ListMultipartUploadsResult"`
		IsTruncated bool
		Upload      []listedUpload
	}
	for _, id := range slices.Sorted(maps.Keys(b.uploads)) {
		u := b.uploads[id]
		page.Upload = append(page.Upload, listedUpload{u.key, id, u.begun.Add(b.quirks.Clock).UTC().Format(isoTime)})
	}
	return answer(w, page)
}
