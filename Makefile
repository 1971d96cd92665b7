# Every target is one line; what it needs it installs.
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZ_TIME ?= 30s
BENCH ?= Read|Upload
BENCH_REPORT ?= $(CURDIR)/bin/bench.json
VM_DIR ?= /var/tmp/glancefs-vm
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build demo test race bench performance vm lint fuzz soak install deps

build: ; CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/glancefs .
demo: build ; ./bin/glancefs demo
test: deps lint ; $(GO) test -timeout 9m ./...
race: deps ; GLANCEFS_RACE=1 $(GO) test -race -timeout 20m ./...
bench: build ; sh integration/install.sh bench && GLANCEFS_BENCH_REPORT=$(BENCH_REPORT) $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime 5x -timeout 90m ./integration && $(GO) run -C integration/report . $(BENCH_REPORT)
performance: ; $(GO) run -C integration/report . $(BENCH_REPORT) $(CURDIR)/docs
vm: deps ; sh integration/install.sh vm && GLANCEFS_VM=$(VM_DIR) $(GO) test -count=1 -v -timeout 40m -run '^TestVM$$' ./integration
soak: deps ; GLANCEFS_SOAK=$${GLANCEFS_SOAK:-10m} $(GO) test -count=1 -v -timeout 60m -run '^TestSoak$$' ./integration
fuzz: ; for f in ./fs:FuzzNames ./fs:FuzzSniff ./cache:FuzzIndex ./glanceapi:FuzzUnquote ./glanceapi:FuzzEachField ./glanceapi:FuzzDecodeImage; do $(GO) test -run '^$$' -fuzz "^$${f#*:}$$" -fuzztime $(FUZZ_TIME) $${f%:*} || exit 1; done
lint: ; test -z "$$(gofmt -l .)" && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...
install: build ; install -D -m 755 bin/glancefs $(DESTDIR)/usr/local/bin/glancefs
deps: ; sh integration/install.sh
