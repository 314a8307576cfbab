package rest

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// typeBatches is batches as Kafka has them, byte for byte, one after the other.
const typeBatches = "application/vnd.firn.batches"

// negotiate picks what the client likes best of what there is; the first stands for whoever does
// not mind.
func negotiate(r *http.Request, offered ...string) (string, error) {
	accepted := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accepted) == "" {
		return offered[0], nil
	}
	best, bestQuality := "", 0.0
	for part := range strings.SplitSeq(accepted, ",") {
		wanted, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, given := params["q"]; given {
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		if match := matching(wanted, offered); match != "" && quality > bestQuality {
			best, bestQuality = match, quality
		}
	}
	if best == "" {
		return "", &problem{Status: http.StatusNotAcceptable, Field: "Accept",
			Detail: "there is " + strings.Join(offered, ", ")}
	}
	return best, nil
}

// matching is the first offer in a media range.
func matching(wanted string, offered []string) string {
	for _, offer := range offered {
		kind, _, _ := strings.Cut(offer, "/")
		if wanted == offer || wanted == kind+"/*" || wanted == "*/*" {
			return offer
		}
	}
	return ""
}
