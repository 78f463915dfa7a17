package main

import (
	"flag"
	"fmt"
	"sync"
	"time"
)

// pods of each Service.
const pods = 2

// kubeFill creates Services with their EndpointSlices, and a Route to each, and waits until all that can be said of them is said.
func kubeFill(arguments []string) (any, error) {
	flags := flag.NewFlagSet("kube-fill", flag.ExitOnError)
	server := kubeFlags(flags)
	count := flags.Int("services", 5000, "Services, and Routes")
	apart := flags.Bool("backends", false, "a Backend for each Service, which its Route names; otherwise inline")
	flags.Parse(arguments)
	to, err := server()
	if err != nil {
		return nil, err
	}
	kinds := []string{"routes"}
	if *apart {
		kinds = append(kinds, "backends")
	}
	var followers []*follower
	for _, kind := range kinds {
		follower, err := to.follow(komainuAPI + kind)
		if err != nil {
			return nil, err
		}
		followers = append(followers, follower)
	}
	begun := time.Now()
	if failed, err := each(*count, func(number int) error { return to.createService(number, *apart) }); err != nil {
		return map[string]any{"failed": failed}, err
	}
	filled := time.Since(begun)
	for _, follower := range followers {
		if err := follower.awaitSettled(*count); err != nil {
			return nil, err
		}
	}
	settled, writes := time.Since(begun), 0
	for _, follower := range followers {
		if err := follower.awaitQuiet(); err != nil {
			return nil, err
		}
		writes += follower.versions()
	}
	return map[string]any{
		"services": *count, "fill_seconds": filled.Seconds(), "settled_seconds": settled.Seconds(),
		"status_writes": writes, "objects": *count * len(kinds),
	}, nil
}

func serviceName(number int) string { return fmt.Sprintf("service-%d", number) }

// createService also creates what goes with it; the slice is as the controller of EndpointSlices writes it.
func (k *kube) createService(number int, apart bool) error {
	name := serviceName(number)
	service := map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name, "labels": map[string]any{"app": name}},
		"spec": map[string]any{
			"selector": map[string]any{"app": name},
			"ports":    []any{map[string]any{"name": "http", "port": 80, "targetPort": 8080}},
		},
	}
	slice := map[string]any{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata": map[string]any{"name": name, "labels": map[string]any{
			"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
		}},
		"ports":     []any{map[string]any{"name": "http", "port": 8080, "protocol": "TCP"}},
		"endpoints": endpoints(number, 0),
	}
	targets := map[string]any{"targets": []any{map[string]any{"service": map[string]any{"name": name, "port": "http"}}}}
	if err := k.create(coreAPI+"services", service); err != nil {
		return err
	}
	if err := k.create(slicesAPI, slice); err != nil {
		return err
	}
	if !apart {
		inline := []any{map[string]any{"inline": targets}}
		spec := map[string]any{"matches": serviceMatch(number, 0), "backends": inline}
		return k.create(komainuAPI+"routes", object("Route", name, spec))
	}
	if err := k.create(komainuAPI+"backends", object("Backend", name, targets)); err != nil {
		return err
	}
	reference := []any{map[string]any{"ref": map[string]any{"name": name}}}
	return k.create(komainuAPI+"routes", object("Route", name, map[string]any{"matches": serviceMatch(number, 0), "backends": reference}))
}

func serviceMatch(number, version int) any {
	return []any{map[string]any{
		"hostnames": []any{fmt.Sprintf("host-%d.example.com", number/20)},
		"paths":     []any{map[string]any{"value": fmt.Sprintf("/%s/v%d", serviceName(number), version)}},
	}}
}

// endpoints of a Service, of which one changes its address with each version, as when a pod is replaced. Nobody calls them.
func endpoints(number, version int) []any {
	var all []any
	for pod := range pods {
		name := fmt.Sprintf("%s-pod-%d", serviceName(number), pod)
		index := number*pods + pod
		second := 0
		if pod == version%pods {
			name, second = fmt.Sprintf("%s-%d", name, version), version
		}
		address := fmt.Sprintf("10.%d.%d.%d", 128+second%100, index/250, 1+index%250)
		all = append(all, map[string]any{
			"addresses":  []any{address},
			"conditions": map[string]any{"ready": true, "serving": true, "terminating": false},
			"nodeName":   fmt.Sprintf("node-%d", index%50),
			"targetRef":  map[string]any{"kind": "Pod", "name": name, "namespace": "default"},
		})
	}
	return all
}

// kubeChurn changes EndpointSlices and edits Routes at an even pace.
func kubeChurn(arguments []string) (any, error) {
	flags := flag.NewFlagSet("kube-churn", flag.ExitOnError)
	server := kubeFlags(flags)
	count := flags.Int("services", 5000, "Services that there are")
	lasting := flags.Duration("lasting", time.Minute, "of the churn")
	slices := flags.Int("slices", 10, "changes of EndpointSlices a second")
	edits := flags.Int("edits", 1, "edits of Routes a second")
	flags.Parse(arguments)
	to, err := server()
	if err != nil {
		return nil, err
	}
	routes, err := to.follow(komainuAPI + "routes")
	if err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	errs := make(chan error, 2)
	begun := time.Now()
	all.Go(func() {
		errs <- paced(begun, *lasting, *slices, func(turn int) error {
			number := turn * 7 % *count
			return to.merge(slicesAPI+"/"+serviceName(number), map[string]any{"endpoints": endpoints(number, turn)})
		})
	})
	all.Go(func() {
		errs <- paced(begun, *lasting, *edits, func(turn int) error {
			number := turn * 11 % *count
			patch := map[string]any{"spec": map[string]any{"matches": serviceMatch(number, turn)}}
			return to.merge(komainuAPI+"routes/"+serviceName(number), patch)
		})
	})
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return nil, err
		}
	}
	edited := *edits * int(*lasting/time.Second)
	return map[string]any{
		"seconds": time.Since(begun).Seconds(), "slices": *slices * int(*lasting/time.Second), "edits": edited,
		"status_writes": max(0, routes.versions()-edited),
	}, nil
}

// paced does so many turns a second, evenly spread, numbered from 1.
func paced(begun time.Time, lasting time.Duration, rate int, do func(turn int) error) error {
	turns := rate * int(lasting/time.Second)
	for turn := 1; turn <= turns; turn++ {
		time.Sleep(time.Until(begun.Add(time.Duration(turn) * time.Second / time.Duration(rate))))
		if err := do(turn); err != nil {
			return err
		}
	}
	return nil
}
