//! The daemon.
use std::process::ExitCode;
pub(crate) fn run_as_pid1() -> ExitCode { ExitCode::FAILURE }
pub(crate) fn run_hosted(_: crate::args::Hosted) -> ExitCode { ExitCode::FAILURE }
