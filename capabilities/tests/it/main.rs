//! What `vyoma-capabilities` promises, seen from outside. One binary, because linking is what takes the time.

mod arbitrary;
// The bodies of the fuzz targets, run here on stable with random and mutated input.
mod board;
#[path = "../../fuzz/bodies.rs"]
mod bodies;
mod control;
mod lifecycle;
mod lifecycle_simulation;
mod lines;
mod link;
mod manifest;
mod manifest_errors;
mod messages;
mod profile;
mod properties;
mod resolve;
