//! The lossless Dockerfile tree, and RUN bodies as shell commands.

pub mod shell;
