#![doc = include_str!("ARCHITECTURE.md")]

pub mod cli;
pub mod config;
pub mod delegate;
pub mod diagnose;
pub mod experiment;
pub mod machine;
pub mod measure;
pub mod plan;
pub mod profile;
pub mod report;
pub mod spec;
pub mod stats;
pub mod sys;
pub mod verify;
pub mod worklog;
pub mod workspace;
