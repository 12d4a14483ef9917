//! The engine's C API, and the one thing that it lacks: a store limiter that
//! says whether it ever refused memory, so that "the call ran out of memory"
//! is a fact and not a guess. Declared in `src/worker/engine.h`; a release of the
//! engine without it (`WASMTIME_DIR`) works with the C API's own limiter.

pub use wasmtime_c_api::*;

use wasmtime_c_api::wasmtime::{Error, ResourceLimiter};

/// Owned by the C side, which keeps it in place until the store is deleted.
#[repr(C)]
pub struct AileronLimits {
    memory_bytes: u64,
    table_elements: u64,
    refused: u32,
}

/// Stores are used by one thread here; the bounds are the engine's.
struct Limiter(*mut AileronLimits);
unsafe impl Send for Limiter {}
unsafe impl Sync for Limiter {}

impl Limiter {
    fn limits(&mut self) -> &mut AileronLimits {
        unsafe { &mut *self.0 }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        let limits = self.limits();
        let allowed = desired as u64 <= limits.memory_bytes;
        limits.refused |= u32::from(!allowed);
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, _: Error) -> Result<(), Error> {
        self.limits().refused |= 1;
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        Ok(desired as u64 <= self.limits().table_elements)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}

/// Limits `store` by `*limits`; at every refused growth of memory `refused` becomes 1.
///
/// # Safety
/// `store` is live, and `limits` outlives it and is touched by no other thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aileron_store_limit(store: *mut wasmtime_store_t, limits: *mut AileronLimits) {
    // The C API's store is `#[repr(C)]` around exactly this type.
    const { assert!(size_of::<wasmtime_store_t>() == size_of::<WasmtimeStore>()) };
    let store = unsafe { &mut *store.cast::<WasmtimeStore>() };
    let mut limiter = Limiter(limits);
    store.limiter(move |_| {
        // The box lives in this closure, which the store keeps; the borrow is as long as the call.
        let limiter: *mut Limiter = &mut limiter;
        unsafe { &mut *limiter }
    });
}
