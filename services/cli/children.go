package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// How a child that ended is started again, and how long one may take to stop.
const (
	firstRestart = 200 * time.Millisecond
	lastRestart  = 5 * time.Second
	goodLife     = 10 * time.Second
	stopTimeout  = 10 * time.Second
)

// child is a program that is kept running.
type child struct {
	name, path string
	args       []string
	log        string // file for its output
	out        io.Writer
}

// findProgram looks beside this executable and then in PATH.
func findProgram(name string) (string, error) {
	if own, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(own), name)
		if info, err := os.Stat(beside); err == nil && !info.IsDir() {
			return beside, nil
		}
	}
	return exec.LookPath(name)
}

// keep runs the program, again whenever it ends, until ctx ends; then it asks
// it to stop and, if it does not, ends it.
func (c *child) keep(ctx context.Context) {
	// The kernel ends children with the thread that started them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wait := firstRestart
	for {
		start := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(start) > goodLife {
			wait = firstRestart
		}
		fmt.Fprintf(c.out, "%s ended (%v), starting it again in %v; see %s\n", c.name, err, wait, c.log)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRestart)
	}
}

func (c *child) once(ctx context.Context) error {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Stdout, cmd.Stderr = log, log
	// Its own group: a terminal's Ctrl-C is for us, who stop all in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	if err := cmd.Run(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}
