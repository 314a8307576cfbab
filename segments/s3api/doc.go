// Package s3api is what the drivers of servers that speak S3 share, whichever client library they
// are made of: byte ranges, bodies, deadlines, which requests may be sent again, and what a
// server's refusal means to the person who reads it.
package s3api
