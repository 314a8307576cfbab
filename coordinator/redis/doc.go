// Package redis is the coordinator in Redis.
package redis
