package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// follower is a bare watch client: one connection, which it reads and nothing else.
type follower struct {
	what    string
	lock    sync.Mutex
	added   map[string]time.Time
	settled map[string]bool
	// Versions that were told since the follower started, without the first ones of objects.
	modified int
	last     time.Time
}

type event struct {
	Type   string
	Object struct {
		Metadata struct {
			Name       string
			Generation int64
		}
		Status struct {
			Conditions []struct {
				Type, Status       string
				ObservedGeneration int64
			}
		}
		// Of an ERROR.
		Message string
	}
}

// isSettled tells whether this generation is Programmed and Ready.
func (e *event) isSettled() bool {
	count := 0
	for _, one := range e.Object.Status.Conditions {
		isMeant := one.Type == "Programmed" || one.Type == "Ready"
		if isMeant && one.Status == "True" && one.ObservedGeneration == e.Object.Metadata.Generation {
			count++
		}
	}
	return count == 2
}

// follow watches a collection from now on, for as long as the process lives.
func (k *kube) follow(path string) (*follower, error) {
	list, err := k.send("GET", path+"?limit=1", "application/json", nil)
	if err != nil {
		return nil, err
	}
	defer list.Body.Close()
	var head struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.NewDecoder(list.Body).Decode(&head); err != nil {
		return nil, err
	}
	stream, err := k.send("GET", path+"?watch=1&resourceVersion="+head.Metadata.ResourceVersion, "application/json", nil)
	if err != nil {
		return nil, err
	}
	f := &follower{what: path, added: map[string]time.Time{}, settled: map[string]bool{}, last: time.Now()}
	go func() {
		defer stream.Body.Close()
		fail(fmt.Errorf("the watch of %s ended: %w", path, f.read(stream.Body)))
	}()
	return f, nil
}

func (f *follower) read(stream io.Reader) error {
	lines := bufio.NewReaderSize(stream, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		// Before anything is made of it.
		at := time.Now()
		var told event
		if err := json.Unmarshal(line, &told); err != nil {
			return err
		}
		name := told.Object.Metadata.Name
		f.lock.Lock()
		f.last = at
		switch told.Type {
		case "ADDED":
			f.added[name] = at
		case "MODIFIED":
			f.modified++
		default:
			f.lock.Unlock()
			return errors.New(told.Type + " " + told.Object.Message)
		}
		if told.isSettled() {
			f.settled[name] = true
		} else {
			delete(f.settled, name)
		}
		f.lock.Unlock()
	}
}

// seen is when the object was told of first.
func (f *follower) seen(name string) (at time.Time, err error) {
	err = f.until("told of "+name, patience, func() bool {
		at = f.added[name]
		return !at.IsZero()
	})
	return at, err
}

// versions that were told so far.
func (f *follower) versions() int {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.modified
}

// awaitSettled waits until so many objects are Programmed and Ready.
func (f *follower) awaitSettled(count int) error {
	return f.until(fmt.Sprintf("%d are Programmed and Ready", count), 10*time.Minute, func() bool { return len(f.settled) >= count })
}

// quiet is longer than the pauses between two writes of one status (docs/kubernetes.md), so what comes later doesn't belong to what
// was changed.
const quiet = 7 * time.Second

// awaitQuiet waits until there is no new version for a while.
func (f *follower) awaitQuiet() error {
	return f.until("quiet", 5*time.Minute, func() bool { return time.Since(f.last) > quiet })
}

// until looks every millisecond; it isn't used where time is measured.
func (f *follower) until(what string, within time.Duration, condition func() bool) error {
	deadline := time.Now().Add(within)
	for {
		f.lock.Lock()
		is := condition()
		f.lock.Unlock()
		if is {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %s: %s", f.what, within, what)
		}
		time.Sleep(time.Millisecond)
	}
}
