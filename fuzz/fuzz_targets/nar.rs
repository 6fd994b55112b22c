//! Whatever reads as a NAR must be written again as the same bytes: each tree has one archive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nival_formats::nar::{Event, NarError, Reader, Writer};

fn copy(bytes: &[u8]) -> Result<Vec<u8>, NarError> {
    let mut reader = Reader::new(bytes);
    let mut writer = Writer::new(Vec::new());
    while let Some(event) = reader.next_event()? {
        match event {
            Event::Directory => writer.directory(),
            Event::Entry(name) => writer.entry(&name),
            Event::EndDirectory => writer.end_directory(),
            Event::Symlink(target) => writer.symlink(&target),
            Event::File { mode, .. } => {
                let mut contents = Vec::new();
                reader.copy_contents(&mut contents)?;
                writer.file_bytes(mode, &contents)
            }
        }?;
    }
    reader.expect_end()?;
    Ok(writer.finish()?)
}

fuzz_target!(|bytes: &[u8]| match copy(bytes) {
    Ok(again) => assert_eq!(again, bytes),
    Err(NarError::Io(error)) => assert_ne!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}"),
    Err(_) => {}
});
