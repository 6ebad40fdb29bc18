//! Being written.

pub mod artefact;
