# A short front for meson. `make help` lists the targets.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
BUILD ?= build
FUZZ_SECONDS ?= 60
PYTHON := /usr/bin/python3

.DEFAULT_GOAL := all
.PHONY: all help demo test check bench fuzz lint format install clean

all: ## build everything into build/bin/ (scripts/bootstrap build installs what it needs)
	@scripts/build $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: ## a real program's commands allowed, denied, asked about, timed out and recorded
	@scripts/bootstrap build
	@scripts/build $(BUILD)
	@scripts/demo

test: ## everything: lint, unit, fuzz corpora, end to end, attacks, and again under ASan+UBSan
	@scripts/bootstrap test
	@$(PYTHON) scripts/run-tests all

check: ## the quick part of `make test`, under two minutes
	@scripts/bootstrap test
	@$(PYTHON) scripts/run-tests quick

bench: ## the figures of docs/performance.md
	@scripts/bootstrap test
	@scripts/build $(BUILD)
	@scripts/bench

fuzz: ## every fuzz target for FUZZ_SECONDS
	@scripts/bootstrap test
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz

lint: ## formatting, clang-tidy, cppcheck, shellcheck
	@scripts/bootstrap test
	@scripts/lint

format: ## rewrite the C sources in the project's format
	@scripts/lint --fix

install: ## into $(DESTDIR)$(PREFIX)
	@scripts/build $(BUILD)
	@PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR) DESTDIR=$(DESTDIR) BUILD=$(BUILD) scripts/install

clean: ## remove what was built
	rm -rf build build-asan build-fuzz
