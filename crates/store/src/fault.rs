//! Places where tests let the process die, to see what a crash leaves behind.

#[cfg(test)]
thread_local! {
    static DIE_AT: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Lets this thread's process end at the named place, as if it were killed.
#[cfg(test)]
pub(crate) fn die_at(place: &'static str) {
    DIE_AT.set(Some(place));
}

/// Does nothing but in tests.
#[inline]
pub(crate) fn fault_point(place: &str) {
    #[cfg(test)]
    if DIE_AT.get() == Some(place) {
        // No destructor runs, as with a signal.
        std::process::abort();
    }
    #[cfg(not(test))]
    let _ = place;
}
