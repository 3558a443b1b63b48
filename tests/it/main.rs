//! End-to-end tests: the real binary on real programs, real git repositories, a real database.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start processes themselves, and their helpers may panic as the tests may"
)]

mod analyze;
mod artefacts;
mod bench;
mod corpus;
mod counters;
mod crash;
mod disturbed;
mod doctor;
mod errors;
mod examples;
mod floor;
mod house;
mod interrupted;
mod launcher;
mod measure;
mod metrics;
mod python_frames;
mod recorded_noise;
mod relearn;
mod rivals;
mod runner;
mod session;
mod stacks;
mod trial;
mod workspace;
