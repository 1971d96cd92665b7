# Every target is one line; what it needs it installs.
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZ_TIME ?= 30s
BENCH ?= Read|Upload
BENCH_REPORT ?= $(CURDIR)/bin/bench.json
VM_DIR ?= /var/tmp/glancefs-vm
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.8.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build demo test race bench performance vm lint vuln fuzz soak live man dist packages install deps fresh

build: ; CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/glancefs .
demo: build ; ./bin/glancefs demo
# Most of what the tests do is wait: four at a time need a fifth less time than two.
test: deps lint ; $(GO) test -parallel 4 -timeout 20m ./...
race: ; sh integration/install.sh race && GLANCEFS_RACE=1 $(GO) test -race -timeout 20m ./...
bench: build ; sh integration/install.sh bench && GLANCEFS_BENCH_REPORT=$(BENCH_REPORT) $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime 5x -timeout 90m ./integration && $(GO) run -C integration/report . $(BENCH_REPORT)
performance: ; $(GO) run -C integration/report . $(BENCH_REPORT) $(CURDIR)/docs
vm: deps ; sh integration/install.sh vm && GLANCEFS_VM=$(VM_DIR) $(GO) test -count=1 -v -timeout 40m -run '^TestVM$$' ./integration
soak: deps ; GLANCEFS_SOAK=$${GLANCEFS_SOAK:-45m} GLANCEFS_SOAK_FAULTS=$${GLANCEFS_SOAK_FAULTS-10000} $(GO) test -count=1 -v -timeout 60m -run "^TestSoak$$" ./integration
live: deps ; GLANCEFS_LIVE=$${GLANCEFS_LIVE:-100} $(GO) test -count=1 -v -timeout 60m -run '^TestLive$$' ./integration
fuzz: ; for p in ./fs ./fs/metadata ./fs/diskformat ./cache ./glanceapi; do for f in $$($(GO) test -list "^Fuzz" $$p | grep "^Fuzz"); do $(GO) test -run "^$$" -fuzz "^$$f$$" -fuzztime $(FUZZ_TIME) $$p || exit 1; done; done
lint: ; test -z "$$(gofmt -l .)" && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...
vuln: ; $(GO) run $(GOVULNCHECK) ./...
man: build ; ./bin/glancefs man docs/package/glancefs.8.md >bin/glancefs.8
dist: build ; VERSION=$(VERSION) GO=$(GO) sh docs/package/dist.sh
packages: dist ; sh integration/install.sh packages && GLANCEFS_PACKAGES=$(CURDIR)/bin/dist $(GO) test -count=1 -v -timeout 20m -run '^TestPackage' ./integration
install: build ; install -D -m 755 bin/glancefs $(DESTDIR)/usr/local/bin/glancefs
deps: ; sh integration/install.sh
fresh: ; sh integration/fresh.sh
