//go:build !linux

package localstack

import "syscall"

func attached() *syscall.SysProcAttr { return nil }
