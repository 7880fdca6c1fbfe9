//! Offline knowledge, as tables that need no loading.

pub mod table;
