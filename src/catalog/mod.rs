//! Offline knowledge: packages, commands and the libraries of language
//! packages, as tables that need no loading.

pub mod commands;
pub mod libraries;
pub mod packages;
pub mod table;
pub mod variants;
