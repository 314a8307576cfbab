//go:build !linux

package process

import "syscall"

// DiesWithParent ends a process with the one that started it, where the system can do that.
func DiesWithParent() *syscall.SysProcAttr { return nil }
