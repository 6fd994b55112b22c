//! Whatever reads as a derivation must print, and read the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nival_formats::{Derivation, StoreDir};

fuzz_target!(|bytes: &[u8]| {
    let store = StoreDir::default();
    if let Ok(derivation) = Derivation::parse(&store, "fuzz", bytes) {
        // A fixed output may have a method and hash that make no path.
        if let Ok(printed) = derivation.print(&store) {
            let again = Derivation::parse(&store, "fuzz", &printed).expect("what is printed reads");
            assert_eq!(again, derivation);
        }
    }
});
