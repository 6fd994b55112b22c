use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::gc_server::{GcServer, Shared};
use crate::lock::{LockKind, open_lock_file, try_lock};
use crate::temp_roots::{TempRoots, gc_lock_path, gc_socket_path};
use crate::{StoreConfig, delete_tree};

/// Both sides of the socket: a root that comes while its path is being deleted waits until that is done.
#[test]
fn a_root_waits_for_the_deletion_of_its_path() {
    let dir = tempfile::tempdir().unwrap();
    // Deep enough that the path of the socket doesn't fit into its address.
    let config = StoreConfig::chroot(dir.path().join("x".repeat(120)));
    fs::create_dir_all(config.state_dir.join("temproots")).unwrap();
    let path: nival_formats::StorePath = "7rjjxp5lmdykb3n16p9l03a8hn6ay4k1-hello".parse().unwrap();
    let other: nival_formats::StorePath = "8rjjxp5lmdykb3n16p9l03a8hn6ay4k1-hello".parse().unwrap();

    let lock_path = gc_lock_path(&config);
    let lock = open_lock_file(&lock_path).unwrap();
    assert!(try_lock(&lock, LockKind::Exclusive, &lock_path).unwrap());
    let server = GcServer::bind(&gc_socket_path(&config), &config.store_dir).unwrap();
    let shared = Shared::default();
    let rooted = AtomicBool::new(false);

    std::thread::scope(|scope| {
        server.while_serving(&shared, || {
            assert!(shared.claim(path.hash_part()));
            let client = scope.spawn(|| {
                let mut roots = TempRoots::new(&config);
                roots.add(&config.store_dir, &[&other]).unwrap();
                roots.add(&config.store_dir, &[&path]).unwrap();
                rooted.store(true, Ordering::SeqCst);
                // Kept until the test has looked at the file.
                roots
            });
            while shared.claim(other.hash_part()) {
                shared.release();
                assert!(shared.claim(path.hash_part()));
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(50));
            assert!(!rooted.load(Ordering::SeqCst), "the path is still being deleted");
            shared.release();
            let roots = client.join().unwrap();
            assert!(!shared.claim(path.hash_part()), "the path is a root now");
            let found = crate::temp_roots::find(&config).unwrap();
            assert_eq!(found.into_keys().collect::<Vec<_>>(), [path.clone(), other.clone()]);
            drop(roots);
        });
    });
    assert_eq!(fs::read_dir(config.state_dir.join("temproots")).unwrap().count(), 0);
    delete_tree(dir.path()).unwrap();
}
