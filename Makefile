# `make` alone lists the targets. ARGS are passed on: make test ARGS='-p mt-core redeem'

.DEFAULT_GOAL := help
.SUFFIXES:

export PATH := $(CURDIR)/.tools/bin:$(PATH)

CARGO := cargo
SERVER := $(CARGO) run --quiet --locked --package reference-server --
SCRIPTS := .ci/run bench/peers/fastapi/run ops/image/ready ops/postgres/logins ops/stand-ins/postgres-entrypoint \
	scripts/external-types scripts/fuzz-stripe scripts/image-test scripts/instructions scripts/k6 scripts/measure \
	scripts/mt-server scripts/native-stack scripts/run-tests scripts/smoke.sh scripts/stack-test scripts/stack-up \
	scripts/throughput scripts/tools scripts/wait-ready scripts/with-engine scripts/with-services
COMPOSE := docker compose --project-name $(or $(PROJECT_NAME),mt)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/  \1	\2/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: demo
demo: ## the whole flow over HTTP: in the stack of `make up` while it is up, else on an embedded Postgres by Rust alone
	bash scripts/mt-server demo $(ARGS)

.PHONY: run
run: ## the server on port 8000, on an embedded Postgres unless DATABASE_URL is set
	$(SERVER) serve $(ARGS)

.PHONY: seed
seed: ## a known org, project, task and users in the stack, while it is up, else natively; ARGS='--size small' adds load
	bash scripts/mt-server seed $(ARGS)

.PHONY: up
up: ## the Compose stack: server, Postgres, Redis and a mail catcher; returns when it is ready
	bash scripts/stack-up

.PHONY: down
down: ## stops the stack; its data stays
	$(COMPOSE) down --remove-orphans

.PHONY: reset
reset: ## the stack with a clean slate: new database, migrated and seeded
	$(COMPOSE) down --volumes --remove-orphans
	$(MAKE) up
	$(MAKE) seed

.PHONY: logs
logs: ## what the stack's services say, as they say it
	$(COMPOSE) logs --follow --tail 100

.PHONY: smoke
smoke: ## the stack from local binaries, with demo and smoke test against it; BASE_URL for a server that is up
ifdef BASE_URL
	scripts/smoke.sh
else
	scripts/native-stack sh -euc '"$$MT_SERVER" demo; "$$MT_SERVER" seed; scripts/smoke.sh'
endif

.PHONY: test
test: ## every test, on a Postgres and a Redis of their own; ARGS='-p mt-core' for some
	scripts/tools cargo-nextest
	scripts/with-services scripts/run-tests $(ARGS)

.PHONY: stack
stack: ## the Compose stack on a Docker engine, as its users run it; as root on Debian it brings an engine of its own
	$(CARGO) build --quiet --locked --package reference-server
	scripts/with-engine scripts/stack-test

.PHONY: image
image: ## the whole Dockerfile, as production runs it; TAG=mt-server PROFILE=release
	scripts/with-engine --rust docker build --build-arg PROFILE=$(or $(PROFILE),release) --tag $(or $(TAG),mt-server) .

.PHONY: image-test
image-test: ## the whole Dockerfile for two clones: neither image holds the other's code; PROFILE=image-dev
	scripts/with-engine --rust scripts/image-test

.PHONY: lint
lint: ## format, clippy, features, documentation, public types, licences and dependencies, shell scripts
	scripts/tools cargo-check-external-types cargo-deny cargo-hack
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
# The line above unites the features of all crates. A user's build has some of them.
	$(CARGO) hack clippy --locked --quiet --each-feature --lib \
		--package mt-core --package mt-tower --package mt-stripe -- -D warnings
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

.PHONY: audit
audit: ## known vulnerabilities of dependencies; fetches the advisory database
	scripts/tools cargo-deny
	$(CARGO) deny --locked check advisories

.PHONY: tools
tools: ## install what the tests and the linter need into .tools/ where it is missing
	scripts/tools

.PHONY: fuzz
fuzz: ## the server against Schemathesis, which makes requests out of its document; SECONDS=600; needs Python
	scripts/tools cargo-nextest
	MT_FUZZ_SECONDS=$(or $(SECONDS),600) MT_REQUIRE_PACKAGES=1 \
		scripts/with-services $(CARGO) nextest run --locked --package reference-server --no-capture fuzz::

.PHONY: fuzz-stripe
fuzz-stripe: ## signature headers and events from a fuzzer, SECONDS=60 each; needs nightly Rust
	scripts/fuzz-stripe $(SECONDS)

.PHONY: storm
storm: ## webhooks while receivers, workers and Postgres are killed; ROUNDS=10 EVENTS=1000 RESTARTS=3
	scripts/tools cargo-nextest
	MT_STORM_ROUNDS=$(or $(ROUNDS),10) MT_STORM_EVENTS=$(or $(EVENTS),1000) MT_STORM_RESTARTS=$(or $(RESTARTS),3) \
		scripts/with-services $(CARGO) nextest run --locked --package mt-stripe --no-capture storm::

.PHONY: chaos
chaos: ## a release server while Postgres, PgBouncer and Redis break under it; ROUNDS=5; writes docs/chaos.md
	scripts/tools cargo-nextest
	$(CARGO) build --locked --release --package reference-server
	MT_CHAOS_ROUNDS=$(or $(ROUNDS),5) MT_CHAOS_PAGE=$(CURDIR)/docs/chaos.md \
		MT_CHAOS_SERVER=$(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/release/mt-server \
		scripts/with-services $(CARGO) nextest run --locked --package reference-server --no-capture chaos::

.PHONY: ingest
ingest: ## how fast webhooks are stored and applied, against pgbench; ROUNDS=5
	ROUNDS=$(or $(ROUNDS),5) scripts/with-services $(CARGO) bench --locked --package mt-bench --bench ingest

.PHONY: k6
k6: ## load at 1x, 5x and 10x, webhooks, and the knee; writes k6-results/ and scripts/report_metrics.md
	scripts/k6

.PHONY: bench
bench: ## what decisions, layers, counts and requests cost, beside limits and a peer; ARGS='--bench layers' for one
ifdef ARGS
	$(CARGO) bench --locked --package mt-bench $(ARGS)
else
	$(CARGO) bench --locked --package mt-bench --bench decisions --bench layers
	$(MAKE) limiter compare
endif

.PHONY: limiter
limiter: ## counts in Redis beside redis-benchmark
	scripts/with-services $(CARGO) run --quiet --locked --release --package mt-limiter-bench

.PHONY: compare
compare: ## the server beside pgbench, FastAPI and itself; needs wrk and Python; ARGS='--rounds 9'
	scripts/measure compare $(ARGS)

.PHONY: soak
soak: ## ten minutes of full load, and whether memory grows; SECONDS=600
	scripts/measure compare --only mt --soak $(or $(SECONDS),600)

.PHONY: growth
growth: ## what requests cost beside 1 to 10 000 other orgs and up to ten million tasks; takes a while
	scripts/measure growth $(ARGS)

.PHONY: scaling
scaling: ## two processes behind HAProxy, one behind PgBouncer, a replica
	scripts/measure scaling $(ARGS)

.PHONY: profile
profile: ## where the server's processor time goes; needs perf and wrk; ARGS='create --svg graph.svg'
	scripts/measure profile $(ARGS)

.PHONY: throughput
throughput: ## the guards on sockets, beside the bare frameworks; needs wrk; ARGS='15 3' for rounds and seconds
	scripts/throughput $(ARGS)

.PHONY: instructions
instructions: ## how many instructions a decision takes; needs valgrind
	scripts/instructions
