# Every verb of the project. `make help` lists them; CI (.ci/run) calls the same ones.

CACHE ?= $(HOME)/.cache/komainu
CARGO ?= cargo
PROFILE := ci
BIN := $(CURDIR)/target/komainu
DIST := $(CURDIR)/target/dist/komainu
export KOMAINU_BIN ?= $(BIN)
export KOMAINU_CACHE := $(CACHE)

.DEFAULT_GOAL := help
.PHONY: help quickstart build test test-fast test-loom tools fmt fmt-check lint deny purity sizes check-chart manifests generate bench-proxy bench-propagation bench-scale bench-kubernetes \
	check-instructions update-instructions test-protocols image sbom cluster-up cluster-down test-cluster test-kind accept-kubernetes accept-foundation accept-backends accept-clustering accept-stores simulate

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: build ## Run the demo: two upstreams and a gateway on examples/quickstart
	@KOMAINU_BIN=$(BIN) examples/run-quickstart

build: ## Build the program (profile ci)
	@echo "building komainu (profile $(PROFILE)); the first time takes some minutes"
	@PROFILE=$(PROFILE) image/program $(BIN) >/dev/null

test: needs tools build test-loom ## Run all tests, in the end in a real cluster (needs Rust, Go >= 1.25, a C compiler, root, some packages)
	$(CARGO) test --locked --profile $(PROFILE) --workspace --no-fail-fast; status=$$?; \
	$(CARGO) test --locked --profile $(PROFILE) --workspace --test real_cluster && exit $$status

simulate: ## Run 10,000 seeds of the simulation of leaders, workers and a bad network (SEEDS=n: so many)
	SEEDS=$${SEEDS:-10000} $(CARGO) test --locked --profile $(PROFILE) --package komainu-operator-core --test simulation -- --nocapture

test-loom: ## Try every order in which threads can touch our own atomics
	RUSTFLAGS="--cfg loom" $(CARGO) test --locked --package komainu-dataplane-core --lib --target-dir target/loom loom_tests

test-fast: build ## Run the tests that need no root and no cluster
	$(CARGO) test --locked --profile $(PROFILE) --workspace --exclude komainu-e2e --no-fail-fast
	$(CARGO) test --locked --profile $(PROFILE) --package komainu-e2e --test processes

.PHONY: needs
needs:
	@.ci/needs

image: ## Build the image, an OCI archive, without a container engine
	@image/build

sbom: ## Write what the program is made of, as CycloneDX
	@.ci/sbom

cluster-up: tools ## Start a real Kubernetes of two nodes on this machine, with the image of this tree (root, Debian's containerd)
	@e2e/cluster/up "$$(PROFILE=ci image/build)"
	@echo "the cluster is up: e2e/cluster/kubectl get nodes; e2e/cluster/within $$(e2e/tools/helm) list --all-namespaces"

cluster-down: ## Remove that cluster
	@e2e/cluster/down

test-cluster: tools ## Install and use the chart in a real cluster of two nodes on this machine, under load (SCENARIO=name: only those)
	@e2e/cluster/needs
	$(CARGO) test --locked --profile $(PROFILE) --workspace --test real_cluster -- $(SCENARIO)

test-kind: ## Install and use the chart in a cluster of kind (needs kind, kubectl and a container engine)
	@e2e/cluster/kind

tools: ## Build etcd, Kubernetes, CoreDNS and Helm into the cache, and fetch Cassandra (about 12 minutes the first time)
	@e2e/tools/kubernetes
	@e2e/tools/helm >/dev/null
	@e2e/tools/cassandra >/dev/null

fmt: ## Format the code
	@$(CARGO) fmt --all

fmt-check:
	@$(CARGO) fmt --all --check

lint: ## Run clippy, warnings are errors
	@$(CARGO) clippy --locked --profile $(PROFILE) --workspace --all-targets --test real_cluster -- -D warnings

deny: ## Check licences, bans and sources of the dependencies
	@.ci/deny

purity: ## Check that the pure crates stay pure
	@.ci/purity
	@.ci/dependencies

sizes:
	@.ci/sizes

check-chart: ## Check the Helm chart: what is made from it, what it renders to and what it refuses (needs Go, openssl)
	@.ci/chart

manifests: ## Write what is made from the chart: manifests/, the table of its values, charts/tests
	@UPDATE=1 .ci/chart

generate: ## Write generated files: CRDs, and what the chart makes of them
	@UPDATE=1 $(CARGO) test --locked --package komainu-crds --quiet
	@UPDATE=1 .ci/chart

check-instructions: ## Compare instruction counts with the committed baseline; +2 % fails
	@benches/instructions check

update-instructions: ## Write a new baseline of instruction counts
	@benches/instructions update

test-protocols: build ## Send the corpus of valid and broken requests through Komainu, nginx and HAProxy (installs Debian's)
	@e2e/protocols/run

bench-proxy: ## nginx, HAProxy, Envoy and Komainu side by side (installs Debian's nginx, haproxy, wrk, nghttp2-client, strace; needs Go)
	@benches/proxy/run

bench-propagation: ## From a write by the admin API to the first request served by it, on three workers (needs Go)
	@benches/propagation/run

bench-scale: ## Memory, time to start and traffic of a leader and a worker with many routes and backends, and what one edit costs
	@$(CARGO) run --quiet --locked --profile $(PROFILE) --package komainu-benches --bin edit
	@benches/scale/run

# The default of KOMAINU_BIN is for tests; what is measured is the program of profile dist, if nobody names another.
bench-kubernetes: tools ## Routes above a bare watch, status writes, and a leader on 5,000 Services, on a real API server (needs Go, openssl)
	@KOMAINU_BIN=$(filter-out $(BIN),$(KOMAINU_BIN)) benches/kubernetes/run

accept-foundation: ## One line per point that the foundation must show
	@e2e/accept/foundation

accept-backends: ## One line per point that the data plane must show
	@e2e/accept/backends

accept-clustering: ## One line per point that clustering must show
	@e2e/accept/clustering

accept-stores: ## One line per point that stores, several leaders, usage and quotas must show
	@e2e/accept/stores

accept-kubernetes: ## One line per point that Kubernetes must show
	@e2e/accept/kubernetes
