//! The memory of the process outside of the space, for who looks for references into it.
//!
//! Values are plain words and are held anywhere: on stacks, in vectors, tables and statics. So all private memory
//! that can be written is looked through, as Linux shows it in `/proc/self`. Reading through a file instead
//! of from memory itself does no harm if another thread gives some of it back meanwhile.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

const PAGE: usize = 4096;
/// Pages whose state is asked for at once.
const PAGES: usize = 8192;
/// So many are read at once.
const PAGES_A_READ: usize = 32;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;

/// The private memory that can be written, as it is at one time.
pub(super) struct Memory {
    ranges: Vec<Range<usize>>,
    pages: File,
    contents: File,
}

impl Memory {
    pub(super) fn look() -> io::Result<Memory> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        let ranges = maps.lines().filter_map(private_and_writable).collect();
        let (pages, contents) = (File::open("/proc/self/pagemap")?, File::open("/proc/self/mem")?);
        let memory = Memory { ranges, pages, contents };
        memory.check()?;
        Ok(memory)
    }

    /// Whether what is on this thread's stack can be seen: some systems that look like Linux only pretend.
    fn check(&self) -> io::Result<()> {
        let needle = Cell::new(self.ranges.len() as u64 ^ 0x1357_9bdf_0246_8ace);
        let address = std::hint::black_box(&needle).as_ptr().addr();
        let (mut state, mut word) = ([0; 8], [0]);
        self.pages.read_exact_at(&mut state, (address / PAGE * 8) as u64)?;
        self.contents.read_exact_at(as_bytes(&mut word), address as u64)?;
        let is_seen = was_touched(&state) && word[0] == needle.get() && self.contains(address);
        if is_seen { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    pub(super) fn leave_out(&mut self, unwanted: &Range<usize>) {
        let before = |range: &Range<usize>| range.start..range.end.min(unwanted.start);
        let after = |range: &Range<usize>| range.start.max(unwanted.end)..range.end;
        self.ranges = self
            .ranges
            .iter()
            .flat_map(|range| [before(range), after(range)])
            .filter(|range| !range.is_empty())
            .collect();
    }

    fn contains(&self, address: usize) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }

    /// Shows all of it that was ever touched.
    pub(super) fn each(&self, mut show: impl FnMut(&[u64])) -> io::Result<()> {
        let mut states = vec![0; PAGES * 8];
        let mut words = vec![0; PAGES_A_READ * PAGE / 8];
        for range in &self.ranges {
            let (mut page, end) = (range.start / PAGE, range.end.div_ceil(PAGE));
            while page < end {
                let states = &mut states[..(end - page).min(PAGES) * 8];
                self.pages.read_exact_at(states, (page * 8) as u64)?;
                let states: Vec<bool> = states.chunks_exact(8).map(was_touched).collect();
                let mut start = 0;
                for run in states.chunk_by(|one, other| one == other) {
                    let pages = page + start..page + start + run.len();
                    start += run.len();
                    if run[0] {
                        let bytes = (pages.start * PAGE).max(range.start)..(pages.end * PAGE).min(range.end);
                        self.read(bytes, &mut words, &mut show);
                    }
                }
                page += states.len();
            }
        }
        Ok(())
    }

    fn read(&self, bytes: Range<usize>, words: &mut [u64], show: &mut impl FnMut(&[u64])) {
        let mut at = bytes.start;
        while at < bytes.end {
            let count = (bytes.end - at).div_ceil(8).min(words.len());
            let words = &mut words[..count];
            if self.contents.read_exact_at(as_bytes(words), at as u64).is_ok() {
                show(words);
            } else {
                // Some of it was given back meanwhile. That had nothing of value, since who evaluates waits.
                for (word, address) in words.iter_mut().zip((at..).step_by(8)) {
                    let word = std::slice::from_mut(word);
                    if self.contents.read_exact_at(as_bytes(word), address as u64).is_ok() {
                        show(word);
                    }
                }
            }
            at += count * 8;
        }
    }
}

fn as_bytes(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: bytes may have any value and need no alignment.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of_val(words)) }
}

fn was_touched(state: &[u8]) -> bool {
    let state = state.try_into().map_or(0, u64::from_ne_bytes);
    state & (PRESENT | SWAPPED) != 0
}

/// `7f0123456000-7f0123466000 rw-p …`
fn private_and_writable(line: &str) -> Option<Range<usize>> {
    let (addresses, rest) = line.split_once(' ')?;
    let (start, end) = addresses.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    rest.starts_with("rw-p").then_some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_memory_that_can_be_written_counts() {
        let line = "7f0123456000-7f0123466000 rw-p 00000000 00:00 0 ";
        assert_eq!(private_and_writable(line), Some(0x7f01_2345_6000..0x7f01_2346_6000));
        assert_eq!(private_and_writable(&line.replace("rw-p", "r--p")), None);
        assert_eq!(private_and_writable(&line.replace("rw-p", "rw-s")), None);
        assert_eq!(private_and_writable("nonsense"), None);
    }

    #[test]
    fn what_is_on_the_heap_is_found() {
        let needle = Box::new([0x1357_9bdf_0246_8ace_u64 ^ std::hint::black_box(1); 3]);
        let memory = Memory::look().expect("/proc can be read");
        let mut found = 0;
        memory
            .each(|words| found += words.windows(3).filter(|words| *words == *needle).count())
            .expect("/proc can be read");
        assert!(found > 0);
    }

    #[test]
    fn what_is_left_out_is_not_looked_at() {
        let local = std::hint::black_box(1);
        let address = std::ptr::from_ref(&local).addr();
        let mut memory = Memory::look().expect("/proc can be read");
        assert!(memory.contains(address));
        memory.leave_out(&(address..address + 8));
        assert!(!memory.contains(address) && memory.contains(address - 1) && memory.contains(address + 8));
    }
}
