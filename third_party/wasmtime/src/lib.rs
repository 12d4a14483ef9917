//! The engine's C API and nothing else: this crate exists so that cargo links
//! it, with the features named in Cargo.toml, into one static library.

pub use wasmtime_c_api::*;
