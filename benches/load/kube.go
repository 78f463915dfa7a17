package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// kube talks to an API server as a user who may do everything; all that it writes is in the namespace default.
type kube struct {
	url, token string
	client     *http.Client
}

const (
	komainuAPI = "/apis/komainu.dev/v1alpha1/namespaces/default/"
	coreAPI    = "/api/v1/namespaces/default/"
	slicesAPI  = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
)

// kubeFlags adds what an API server is found by; the result is called once the flags are parsed.
func kubeFlags(flags *flag.FlagSet) func() (*kube, error) {
	url := flags.String("server", "", "https://host:port of the API server")
	authority := flags.String("authority", "", "file with the certificate that signed the server's")
	token := flags.String("token", "", "bearer token")
	return func() (*kube, error) {
		pem, err := os.ReadFile(*authority)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("no certificate in " + *authority)
		}
		// With a configuration of its own a Transport speaks HTTP/1.1: each request that is under way has its own connection.
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 64}
		return &kube{url: *url, token: *token, client: &http.Client{Transport: transport}}, nil
	}
}

// send gives an answer of 200 to 299, whose body the caller closes.
func (k *kube) send(method, path, kind string, body []byte) (*http.Response, error) {
	request, err := http.NewRequest(method, k.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+k.token)
	request.Header.Set("Content-Type", kind)
	answer, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 != 2 {
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return answer, nil
}

// write returns when the write is acknowledged.
func (k *kube) write(method, path, kind string, entity any) error {
	body, err := json.Marshal(entity)
	if err != nil {
		return err
	}
	answer, err := k.send(method, path, kind, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func (k *kube) create(path string, entity any) error {
	return k.write("POST", path, "application/json", entity)
}

func (k *kube) merge(path string, patch any) error {
	return k.write("PATCH", path, "application/merge-patch+json", patch)
}

// object is one of Komainu's kinds.
func object(kind, name string, spec any) any {
	return map[string]any{
		"apiVersion": "komainu.dev/v1alpha1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec,
	}
}

// matchOf a path, and of the header x-version where it has a value.
func matchOf(path, version string) any {
	match := map[string]any{"paths": []any{map[string]any{"value": path}}}
	if version != "" {
		match["headers"] = []any{map[string]any{"name": "x-version", "value": version}}
	}
	return []any{match}
}

// routeTo a Backend, by the route's name as the path.
func routeTo(backend, name string) any {
	reference := map[string]any{"ref": map[string]any{"name": backend}}
	return object("Route", name, map[string]any{"matches": matchOf("/"+name, ""), "backends": []any{reference}})
}

// workersOf opens a client for each of the addresses with commas between.
func workersOf(addresses string) []*watcher {
	var workers []*watcher
	for _, address := range strings.Split(addresses, ",") {
		workers = append(workers, &watcher{address: address, client: http.Client{Timeout: patience}})
	}
	return workers
}
