# plugserver. `make help` lists the targets.

VERSION  := $(shell sed -n '1s/.*(\([^-)]*\).*/\1/p' packaging/deb/debian/changelog 2>/dev/null || echo dev)
LDFLAGS  := -X main.version=$(or $(VERSION),dev)
SAMPLES  := bye clock hello secret static users wrapped
# The modules of the repository: the main one, the samples with dependencies, and the benchmarks.
MODULES  := . handlers/chi handlers/echo handlers/gin handlers/grpc handlers/labstack handlers/trace bench
FUZZTIME ?= 20s
LISTEN   ?= :8080
export GOFLAGS ?= -buildvcs=false

.PHONY: all
all: build handlers

.PHONY: build
build: ## build plugserverd, plugserver-acme, plugserver-cell and plugserverctl into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/plugserverd ./cmd/plugserver-acme ./cmd/plugserverctl
	CGO_ENABLED=1 go build -o bin/ ./cmd/plugserver-cell # plainly, as users build their plugins

.PHONY: handlers
handlers: ## build the sample handlers into bin/handlers/
	mkdir -p bin/handlers
	for h in $(SAMPLES); do go build -buildmode=plugin -o bin/handlers/$$h.so ./handlers/$$h || exit; done
	for h in chi echo gin grpc labstack trace; do (cd handlers/$$h && go build -buildmode=plugin -o ../../bin/handlers/$$h.so .) || exit; done

.PHONY: run
run: build handlers ## serve the sample handlers on LISTEN (:8080) from run/handlers, until Ctrl-C
	mkdir -p run/handlers
	for h in bin/handlers/*.so; do install -m 0644 $$h run/handlers/.new && mv run/handlers/.new run/handlers/$${h##*/} || exit; done
	@printf '%s\n' '' 'handlers directory: $(CURDIR)/run/handlers' 'for plugserverctl, paste this into another shell:' '' \
		'    export PATH="$(CURDIR)/bin:$$PATH" PLUGSERVER_CONTROL="$(CURDIR)/run/control.sock" PLUGSERVER_STATE="$(CURDIR)/run"' ''
	@exec bin/plugserverd --listen $(LISTEN) --handlers run/handlers --state run --control run/control.sock

# The Debian packages that the tests need are installed where this user may:
# gcc, strace, pebble, promtool, minisign, mkfs.xfs, a registry and a browser here, the others by what needs them (packaging/). Without
# strace, pebble, which is an ACME server, promtool, minisign, mkfs.xfs, docker-registry with skopeo or the browser some tests are left out, and say so.
.PHONY: deps
deps:
	@command -v gcc >/dev/null || { test "$$(id -u)" = 0 && apt-get update -q && apt-get install -q -y --no-install-recommends gcc libc6-dev; }
	@want=; lack() { for p; do command -v $$p >/dev/null && return 1; done; return 0; }; \
	lack strace && want="$$want strace"; lack pebble && want="$$want pebble"; lack promtool && want="$$want prometheus"; \
	lack minisign && want="$$want minisign"; lack mkfs.xfs && want="$$want xfsprogs"; lack docker-registry && want="$$want docker-registry"; lack skopeo && want="$$want skopeo"; lack chromium chromium-browser google-chrome && want="$$want chromium"; lack npm && want="$$want nodejs npm"; \
	test -z "$$want" || test "$$(id -u)" != 0 || { apt-get update -q && apt-get install -q -y --no-install-recommends $$want; }
	@cd internal/test/e2e/browser && { cmp -s package-lock.json node_modules/.installed || ! command -v npm >/dev/null || \
		{ npm ci --silent --no-audit --no-fund --ignore-scripts && cp package-lock.json node_modules/.installed; }; }

# Shows each test as it ends, and all that was said before where one failed; with all=1 each line at once. The
# end of the output tells once more what failed, and of what failed its own words, for who has no more than that.
TELL = awk -v all=$(or $(1),0) '{ if (all) print; else said = said $$0 "\n" } \
	/^=== (RUN|NAME|CONT) /      { test = $$3 } \
	/_test\.go:[0-9]+: /         { words[test] = words[test] substr($$0, 1, 400) "\n"; more = 4; next } \
	/^ +--- FAIL: /              { failed = failed words[$$3] $$0 "\n"; next } \
	/^ / && more-- > 0           { words[test] = words[test] substr($$0, 1, 400) "\n" } \
	/^--- PASS|^ok|^\?/          { if (!all) print; said = ""; delete words; more = 0 } \
	/^--- SKIP/                  { printf "%s", said; said = ""; delete words; more = 0 } \
	/^panic: /                   { failed = failed words[test] } \
	/^--- FAIL|^FAIL|^panic: /   { printf "%s", said; failed = failed words[$$3] $$0 "\n"; said = ""; more = 0 } \
	{ fflush() } END             { printf "%s", said; if (failed) printf "\nFAILED:\n%s", failed }'

# What has daemons, plugins and clients of its own wants the machine to itself; two rooms at a time share it.
ROOMS = $$(go list ./... | grep -v /internal/test/)

.PHONY: test
test test-systemd: SHELL := /bin/bash -o pipefail
test: deps ## run every test, test-systemd too where root runs it; about 25 minutes
	@echo 'every test: about 25 minutes on 2 processors, 5 GB of disk, and once 250 MB from the network: modules, Go 1.23 to 1.25'
	@go test -v -p 2 -count 1 -timeout 15m $(ROOMS) | $(call TELL)
	@go test -v -p 1 -count 1 -timeout 15m ./internal/test/... | $(call TELL)
	@for m in $(filter-out .,$(MODULES)); do (cd $$m && go test -v -p 1 -count 1 -timeout 15m ./... | $(call TELL)) || exit; done
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) test-systemd; \
	else echo; echo 'NOT RUN: make test-systemd, which boots containers and needs root'; fi

.PHONY: test-systemd
test-systemd: deps ## install the package in a booted Debian 12 and 13, and walk a user's day there; run the container image; then three boxes that follow a registry
	@go test -tags systemd -v -timeout 30m ./packaging/systemd | $(call TELL,1)

.PHONY: deb
deb: deps ## build the Debian package into bin/
	packaging/deb/build.sh bin

.PHONY: image
image: deb ## build a container image into bin/, of that package and a minimal Debian; SUITE=, INCLUDE=packages
	packaging/image/build.sh "$$(ls -t bin/plugserver_*.deb | head -n 1)" bin

.PHONY: race
race: deps ## run every test under the race detector, daemon, cells and plugins included
	go test -race -short -p 2 -count 1 -timeout 20m $(ROOMS)
	go test -race -short -p 1 -count 1 -timeout 20m ./internal/test/...
	for m in $(filter-out .,$(MODULES)); do (cd $$m && go test -race -short -p 1 -count 1 -timeout 20m ./...) || exit; done

.PHONY: fuzz
fuzz: ## fuzz every decoder of foreign bytes, each for FUZZTIME (20s)
	@for p in $$(go list -f '{{if .TestGoFiles}}{{.Dir}}{{end}}' ./...); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z]*' $$p/*_test.go | cut -c6-); do \
			echo "$${p#$(CURDIR)/} $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$p || exit; \
		done; \
	done

.PHONY: lint
lint: ## gofmt, go vet and staticcheck (pinned in go.mod)
	@files=$$(gofmt -l .); test -z "$$files" || { echo "gofmt: $$files"; exit 1; }
	go vet -tags systemd ./...
	go build -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	for m in $(MODULES); do (cd $$m && go vet ./... && $(CURDIR)/bin/staticcheck -tags systemd ./... && go mod tidy -diff && go mod verify) || exit; done

.PHONY: bench
bench: bench-deps build ## plugserver beside its peers into docs/benchmarks.md; PEER=, WORK= (or live with HANDLERS=, into docs/benchmarks-live.md; or fleet with BOXES=), ROUNDS=, TIME=, BASE=folder, SHORT=1
ifeq ($(WORK),live)
	cd bench && go build -o ../bin/bench/ ./cmd/live ./cmd/toy
	bin/bench/live -bin bin -base '$(BASE)' -note '$(NOTE)' $(if $(SHORT),-handlers 1 -changes 3,-docs docs/benchmarks-live.md) $(if $(HANDLERS),-handlers '$(HANDLERS)')
else ifeq ($(WORK),fleet)
	cd bench && go build -o ../bin/bench/fleet ./cmd/fleet
	bin/bench/fleet $(if $(BOXES),-boxes '$(BOXES)') $(if $(HANDLERS),-handlers '$(HANDLERS)')
else
	cd bench && go build -o ../bin/bench/bench ./cmd/bench
	bin/bench/bench -root . -peer '$(PEER)' -work '$(WORK)' -base '$(BASE)' -docs docs -note '$(NOTE)' \
		$(if $(SHORT),-short) $(if $(ROUNDS),-rounds '$(ROUNDS)') $(if $(TIME),-time '$(TIME)')
endif

# The peers that are Debian's.
.PHONY: bench-deps
bench-deps: deps
	@for p in nginx caddy; do \
		command -v $$p >/dev/null || { test "$$(id -u)" = 0 && apt-get update -q && apt-get install -q -y --no-install-recommends $$p; } || exit; \
	done
ifeq ($(WORK),live)
	@test -e /usr/share/tomcat10 || { test "$$(id -u)" = 0 && apt-get update -q && apt-get install -q -y --no-install-recommends tomcat10-common default-jre-headless; }
endif

CASE ?=
RANDOM ?= 10000
.PHONY: equal
equal: deps ## every case of internal/test/equal, byte for byte against net/http, those that match CASE; and RANDOM scripts from SEED
	go test -v -count=1 -timeout 2h ./internal/test/equal -args -all -case '$(CASE)' -n '$(RANDOM)' -seed '$(SEED)' $(if $(RELEASE),-release '$(RELEASE)')

SEED ?= 0
.PHONY: torture
torture: deps ## faults times load for TIME (10m) from SEED, those that match FAULT; or KILLS=n, MUTANTS=n, SOAK=20m
	go test -v -count=1 -timeout 24h ./internal/test/torture \
		-run '^Test$(or $(if $(KILLS),Kills),$(if $(MUTANTS),Mutants),$(if $(SOAK),Soak),Torture)$$' -args \
		-for '$(or $(TIME),10m)' -seed '$(SEED)' -fault '$(FAULT)' \
		$(if $(KILLS),-kills '$(KILLS)') $(if $(MUTANTS),-mutants '$(MUTANTS)') $(if $(SOAK),-soak '$(SOAK)')

RELOADS ?= 30
.PHONY: conformance
conformance: deps ## h2spec, and the cases of the RFCs of HTTP/1.1, beside net/http, at rest and during RELOADS (30), one a second
	go test -v -count=1 -timeout 1h ./internal/test/conformance -args -reloads '$(RELOADS)'

CHANGES ?= 6000
.PHONY: clients
clients: deps ## CHANGES (6000, ten a second) of handlers and certificates under clients of every kind and protocol
	go test -v -count=1 -timeout 24h ./internal/test/e2e -run '^TestReloadUnderEveryClient$$' -args -changes '$(CHANGES)'

.PHONY: clean
clean: ## remove what was built and the folder of make run
	rm -rf bin run

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r t d; do printf '%-12s %s\n' "$$t" "$$d"; done
