//! The page of `cigan serve`: over HTTP, with hostile requests, and in a browser.

#[path = "../common/mod.rs"]
mod common;

mod api;
mod hostile;
mod page;
mod server;
