//! What becomes of memory that was freed.

/// Gives it back to the system now: mimalloc would keep it for a second, should it be needed again.
#[cfg(feature = "mimalloc")]
pub(crate) fn give_back() {
    use libmimalloc_sys as _;

    // `mimalloc.h`; the crate declares it with a feature that needs one more crate.
    unsafe extern "C" {
        fn mi_collect(force: bool);
    }
    // SAFETY: any thread may ask for it at any time.
    unsafe { mi_collect(true) }
}

#[cfg(not(feature = "mimalloc"))]
pub(crate) fn give_back() {}
