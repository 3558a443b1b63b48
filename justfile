# The daily commands. `just` alone lists them.

_list:
    @just --list --unsorted

# Build the two programs, optimised
build:
    cargo build --release --locked

# Run all tests, or those whose name contains NAME
test NAME="":
    cargo test --locked {{ NAME }}

# Check formatting, lints, and (with cargo-deny installed) licences and advisories
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    @if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: licences and advisories not checked"; fi

# Rewrite the source as rustfmt and clippy want it
fix:
    cargo fmt
    cargo clippy --fix --allow-dirty --allow-staged --all-targets

# Run the benchmarks
bench:
    cargo bench --locked

# Ask about every program of the labelled corpus, or those that `--only PATTERN` names
corpus *ARGS:
    cargo bench --locked --bench corpus -- {{ ARGS }}

# Make one of the example programs fast, in a temporary repository
demo NAME: build
    target/release/perfup demo {{ NAME }}

# What continuous integration runs
ci: lint test
