# Everything that continuous integration checks.
check:
    ./tests/run

# The loop: the tests of one crate whose name contains NAME, with the servers that they ask for.
# `just t tests hedge::`, `just t worker`, `just t tests windows::`.
t CRATE *NAME:
    ./tests/run -p {{CRATE}} {{NAME}}

# The demo, with bundled documents and simulated deployments.
demo:
    cargo run --release -- demo

# Look at changed snapshots.
review:
    cargo insta review

# Private RabbitMQ, Postgres, Redis and S3 servers: `eval "$(just services start)"`, `just services stop`.
services *ARGS:
    tests/services {{ARGS}}

# Kills, outages and cut wires, with their figures: docs/reliability.md.
chaos:
    ./tests/run 'chaos::' --include-ignored --nocapture
    ./tests/run 'kill::' --nocapture
    ./tests/run 'fleet::' --nocapture
    ./tests/run 'broker_dies::' --nocapture

# 40 documents through 150 s of 502, 529, 504 and 401 each, with their figures, about three minutes.
outages:
    SLUICE_TEST_OUTAGE_SECONDS=150 ./tests/run -p tests outages:: --nocapture

# What a worker holds after 200 and 2,000 documents, long ones and hostile ones, with their figures,
# about ten minutes: docs/reliability.md.
memory:
    cargo build --release --package sluice
    SLUICE_TEST_BINARY={{justfile_directory()}}/target/release/sluice \
      ./tests/run -p tests memory:: --ignored --nocapture

# Looks for files, or answers of a child, that break what hears them: needs nightly Rust, cargo-fuzz.
fuzz TARGET *ARGS:
    cargo +nightly fuzz run {{TARGET}} {{ARGS}} -- -rss_limit_mb=2048 -timeout=20

# The pool against models of the providers' limiters at ten times the scale: docs/pool.md.
scenarios:
    cargo test --release -p pool --lib scenario -- --include-ignored --nocapture

# A fleet of 64 that shares its quota through a Redis of its own, about six minutes: docs/pool.md.
fleet:
    cargo test --release -p pool --lib fleet::load_tests -- --ignored --nocapture --test-threads 1

# What the image of a page costs: docs/scans.md.
images:
    cargo bench -p reader

# What the pool costs a call, beside the network: docs/pool.md.
overhead:
    cargo bench -p pool

# The pool over loopback with more work than quota, about half an hour: docs/pool.md.
pool:
    cargo build --release --package sluice
    SLUICE_TEST_BINARY={{justfile_directory()}}/target/release/sluice \
      ./tests/run 'pool_runs::' --ignored --nocapture --test-threads 1
