package main

import (
	"flag"
	"fmt"
	"time"
)

// kubeRoutes creates Routes one by one, each when all workers serve the one before, and then edits some. A watch client beside it
// says when an event can be known at all, so what is above that is Komainu's part; and it counts the versions that there were.
func kubeRoutes(arguments []string) (any, error) {
	flags := flag.NewFlagSet("kube-routes", flag.ExitOnError)
	server := kubeFlags(flags)
	workers := flags.String("workers", "", "host:port, with commas between")
	target := flags.Int("target", 0, "port of what answers")
	count := flags.Int("routes", 3000, "Routes that are created")
	edits := flags.Int("edits", 300, "of these that are edited then, without pause")
	flags.Parse(arguments)
	to, err := server()
	if err != nil {
		return nil, err
	}
	run := &routesRun{to: to, workers: workersOf(*workers)}
	if run.routes, err = to.follow(komainuAPI + "routes"); err != nil {
		return nil, err
	}
	if run.backends, err = to.follow(komainuAPI + "backends"); err != nil {
		return nil, err
	}
	if err := run.createBackend(*target); err != nil {
		return nil, err
	}
	return run.all(*count, *edits)
}

type routesRun struct {
	to               *kube
	workers          []*watcher
	routes, backends *follower
	// Microseconds: from the event that a bare watch sees, and from the acknowledged write, until the last worker serves.
	aboveWatch, sinceWrite []int32
	// Versions of Routes that are accounted for.
	counted int
}

const backendName = "users"

func (r *routesRun) createBackend(port int) error {
	targets := []any{map[string]any{"hostname": "127.0.0.1", "port": port}}
	if err := r.to.create(komainuAPI+"backends", object("Backend", backendName, map[string]any{"targets": targets})); err != nil {
		return err
	}
	return r.backends.awaitSettled(1)
}

func (r *routesRun) all(count, edits int) (any, error) {
	stop := make(chan struct{})
	late := sleeper(stop)
	begun := time.Now()
	for number := range count {
		if err := r.add(fmt.Sprintf("added-%d", number)); err != nil {
			close(stop)
			return nil, err
		}
	}
	elapsed := time.Since(begun)
	close(stop)
	created, err := r.statusWrites(count, 0)
	if err != nil {
		return nil, err
	}
	begun = time.Now()
	for number := range edits {
		path := fmt.Sprintf("/added-%d", number)
		patch := map[string]any{"spec": map[string]any{"matches": matchOf(path, "edited")}}
		if err := r.to.merge(komainuAPI+"routes"+path, patch); err != nil {
			return nil, err
		}
	}
	editing := time.Since(begun)
	edited, err := r.statusWrites(count, edits)
	if err != nil {
		return nil, err
	}
	wrong := 0
	for _, worker := range r.workers {
		wrong += worker.wrong
	}
	return map[string]any{
		"routes": count, "edits": edits, "wrong": wrong, "seconds": elapsed.Seconds(), "edit_seconds": editing.Seconds(),
		"above_watch": spread(r.aboveWatch), "since_write": spread(r.sinceWrite), "late_p999": percentile(<-late, 0.999),
		"created": created, "edited": edited,
		// Of the Backend since its creation.
		"backend_writes": r.backends.versions(),
	}, nil
}

// add is done when all workers have the Route.
func (r *routesRun) add(name string) error {
	write := func() error { return r.to.create(komainuAPI+"routes", routeTo(backendName, name)) }
	written, err := addBy(write, r.workers, name)
	if err != nil {
		return err
	}
	var served time.Time
	for _, worker := range r.workers {
		at := written.Add(time.Duration(worker.micros[len(worker.micros)-1]) * time.Microsecond)
		if at.After(served) {
			served = at
		}
	}
	seen, err := r.routes.seen(name)
	if err != nil {
		return err
	}
	r.sinceWrite = append(r.sinceWrite, int32(served.Sub(written).Microseconds()))
	r.aboveWatch = append(r.aboveWatch, int32(served.Sub(seen).Microseconds()))
	return nil
}

// statusWrites of Routes since the last call, when all is said; so many versions were our own edits.
func (r *routesRun) statusWrites(routes, edits int) (int, error) {
	for _, await := range []func() error{
		// An edit that was acknowledged may not have been told of yet.
		r.routes.awaitQuiet,
		func() error { return r.routes.awaitSettled(routes) },
		r.routes.awaitQuiet,
		r.backends.awaitQuiet,
	} {
		if err := await(); err != nil {
			return 0, err
		}
	}
	before := r.counted
	r.counted = r.routes.versions()
	return r.counted - before - edits, nil
}

// spread of microseconds.
func spread(micros []int32) any {
	sum := 0
	for _, value := range micros {
		sum += int(value)
	}
	return map[string]any{
		"mean": sum / max(1, len(micros)), "p50": percentile(micros, 0.5), "p99": percentile(micros, 0.99),
		"p999": percentile(micros, 0.999), "max": percentile(micros, 1),
	}
}
