# `make` alone lists the targets. ARGS are passed on: make test ARGS='-p mt-core redeem'

.DEFAULT_GOAL := help
.SUFFIXES:

export PATH := $(CURDIR)/.tools/bin:$(PATH)

CARGO := cargo
SERVER := $(CARGO) run --locked --package reference-server --
SCRIPTS := .ci/run bench/instructions bench/measure bench/peers/fastapi/run bench/run bench/throughput ops/image/ready \
	ops/postgres/logins ops/stand-ins/postgres-entrypoint scripts/audit scripts/external-types scripts/fuzz-stripe \
	scripts/image-test scripts/k6 scripts/mt-server scripts/native-stack scripts/new-service scripts/package-check scripts/run-tests scripts/semver-check scripts/smoke.sh \
	scripts/sqlx-prepare scripts/stack-test scripts/stack-up scripts/tools scripts/wait-ready scripts/with-engine scripts/with-services
COMPOSE := docker compose --project-name $(or $(PROJECT_NAME),mt)

.PHONY: help
help:
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/  \1	\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: ## run the whole flow over HTTP, on an embedded Postgres or in the running stack
	bash scripts/mt-server demo $(ARGS)

.PHONY: run
run: ## start the server on port 8000, on an embedded Postgres unless DATABASE_URL is set
	$(SERVER) serve $(ARGS)

.PHONY: test
test: ## run every test, on a Postgres and a Redis of their own; ARGS='-p mt-core' for some
	scripts/tools cargo-nextest
	scripts/with-services scripts/run-tests $(ARGS)

.PHONY: lint
lint: ## check format, clippy, documentation, dependencies and scripts
	scripts/tools cargo-check-external-types cargo-deny
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
# The line above unites the features of all crates. A user's build has some of them: `make package` checks each.
	$(CARGO) clippy --locked --package reference-server --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps
	scripts/external-types
	$(CARGO) deny --locked check bans licenses sources
	@if docker compose version >/dev/null 2>&1; then \
		for file in docker-compose.yml docker-compose.test.yml; do \
			echo "docker compose config: $$file"; \
			MT_TEST_PASSWORD=x docker compose --file $$file config --quiet || exit; \
		done; \
	else echo 'the Compose client is not installed: its files are not checked'; fi
	@if command -v promtool >/dev/null; then \
		promtool check rules ops/prometheus/alerts.yml && promtool test rules ops/prometheus/alerts_test.yml; \
	else echo 'promtool is not installed: the alerts are not checked'; fi
	@if command -v shellcheck >/dev/null; then echo shellcheck; shellcheck -x -a $(SCRIPTS); \
	else echo 'shellcheck is not installed: scripts are not checked'; fi

.PHONY: up
up: ## start the Compose stack and wait until it is ready
	bash scripts/stack-up

.PHONY: down
down: ## stop the stack; its data stays
	$(COMPOSE) down --remove-orphans

.PHONY: seed
seed: ## create a known org, project, task and users; ARGS='--size small' adds load
	bash scripts/mt-server seed $(ARGS)

.PHONY: reset
reset: ## restart the stack with a new database, migrated and seeded
	$(COMPOSE) down --volumes --remove-orphans
	$(MAKE) up
	$(MAKE) seed

.PHONY: logs
logs: ## follow the logs of the stack
	$(COMPOSE) logs --follow --tail 100

.PHONY: smoke
smoke: ## run demo and smoke test against local binaries, or against BASE_URL
ifdef BASE_URL
	scripts/smoke.sh
else
	scripts/native-stack sh -euc '"$$MT_SERVER" demo; "$$MT_SERVER" seed; scripts/smoke.sh'
endif

.PHONY: stack
stack: ## test the Compose stack on a Docker engine; as root on Debian it brings its own engine
	$(CARGO) build --quiet --locked --package reference-server
	scripts/with-engine scripts/stack-test

.PHONY: image
image: ## build the production image; TAG=mt-server PROFILE=release
	scripts/with-engine --rust docker build --build-arg PROFILE=$(or $(PROFILE),release) --tag $(or $(TAG),mt-server) .

.PHONY: image-test
image-test: ## build the image for two clones; neither may hold the other's code
	scripts/with-engine --rust scripts/image-test

.PHONY: package
package: ## check each crate from its package, outside of the workspace, with each of its features
	scripts/tools cargo-hack
	scripts/package-check

.PHONY: semver
semver: ## compare the public items with the baseline: what breaks users of the libraries?
	scripts/tools cargo-semver-checks
	scripts/semver-check $(ARGS)

.PHONY: audit
audit: ## look dependencies up in the RustSec advisory database
	scripts/tools cargo-deny
	scripts/audit

.PHONY: tools
tools: ## install what the tests and the linter need into .tools/
	scripts/tools

.PHONY: fuzz
fuzz: ## test the server against its OpenAPI document with Schemathesis; SECONDS=600
	scripts/tools cargo-nextest
	MT_FUZZ_SECONDS=$(or $(SECONDS),600) MT_REQUIRE_PACKAGES=1 \
		scripts/with-services $(CARGO) nextest run --locked --package reference-server --no-capture fuzz::

.PHONY: fuzz-stripe
fuzz-stripe: ## fuzz signature headers and events, SECONDS=60 each; needs nightly Rust
	scripts/fuzz-stripe $(SECONDS)

.PHONY: storm
storm: ## apply webhooks while every process is killed; ROUNDS=10 EVENTS=1000 RESTARTS=3
	ROUNDS='$(ROUNDS)' EVENTS='$(EVENTS)' RESTARTS='$(RESTARTS)' bench/run storm

.PHONY: chaos
chaos: ## break Postgres, PgBouncer and Redis under a release server; ROUNDS=5
	ROUNDS='$(ROUNDS)' bench/run chaos

.PHONY: fairness
fairness: ## measure what abuse by one org costs another, on a release server
	bench/run fairness

.PHONY: k6
k6: ## run the k6 load tests and write scripts/report_metrics.md
	scripts/k6

.PHONY: bench
bench: ## run the benchmarks; WHAT=compare for one of them, see bench/README.md
	ROUNDS='$(ROUNDS)' bench/run '$(or $(WHAT),all)' $(ARGS)

# Shorter names of `make bench WHAT=…`.
MEASUREMENTS := compare growth ingest instructions limiter profile scaling soak throughput
.PHONY: $(MEASUREMENTS)
$(MEASUREMENTS):
	@$(MAKE) bench WHAT=$@
