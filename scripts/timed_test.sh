#!/bin/sh
# Runs a test program so that it says how long each test took. `./test tests` names it to Cargo as the runner. Rust calls that unstable,
# so it has to be asked for; the pinned compiler decides what the words for it are.
RUSTC_BOOTSTRAP=1 exec "$@" -Zunstable-options --report-time
