#!/bin/sh
# Runs a test program with the duration of each test. `./test tests` sets it as Cargo's runner. The
# option is unstable in Rust and must be enabled; its form depends on the pinned compiler.
RUSTC_BOOTSTRAP=1 exec "$@" -Zunstable-options --report-time
