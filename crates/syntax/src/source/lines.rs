//! Where the lines of a text begin.

use std::borrow::Cow;

use crate::scan::{Bytes, WIDTH};

/// The lengths of the lines of a text, a byte for most, with marks so that not all need be added up each time.
#[derive(Debug)]
pub(super) struct Lines {
    lengths: Cow<'static, [u8]>,
    marks: Vec<Mark>,
}

/// A byte of the lengths that says: so many more, and the line goes on.
const MORE: u8 = u8::MAX;
/// How many lines there are from one mark to the next.
const MARKED: u32 = 64;

/// The start of a line.
#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: usize,
    /// Where its length is.
    index: usize,
}

impl Lines {
    pub(super) fn of_text(text: &[u8]) -> Lines {
        Lines::of_lengths(lengths(text).into())
    }

    /// Lines of which [`lengths`] gave the lengths.
    pub(super) fn of_lengths(lengths: Cow<'static, [u8]>) -> Lines {
        let mut marks = vec![Mark { offset: 0, index: 0 }];
        let (mut offset, mut line) = (0, 0);
        for (index, length) in (1..).zip(lengths.iter()) {
            offset += usize::from(*length);
            if *length != MORE {
                line += 1;
                if line % MARKED == 0 {
                    marks.push(Mark { offset, index });
                }
            }
        }
        marks.shrink_to_fit();
        Lines { lengths, marks }
    }

    /// The number of the line that a byte is in, counted from zero, and where that begins.
    pub(super) fn line_at(&self, offset: usize) -> (u32, usize) {
        let number = self.marks.partition_point(|mark| mark.offset <= offset).max(1) - 1;
        let from = self.starts_from(number).take_while(|(_, start)| *start <= offset);
        from.last().unwrap_or((number as u32 * MARKED, self.marks[number].offset))
    }

    /// Where the line begins that so many come before.
    pub(super) fn start(&self, line: u32) -> Option<usize> {
        let number = self.marks.len().min((line / MARKED) as usize + 1) - 1;
        self.starts_from(number).find(|(other, _)| *other == line).map(|(_, start)| start)
    }

    /// A text with such lines and nothing on them, of so many bytes.
    pub(super) fn blanks(&self, length: usize) -> Vec<u8> {
        let mut text = vec![b' '; length];
        let starts = (0..self.marks.len()).flat_map(|mark| self.starts_from(mark).take(MARKED as usize));
        for (_, start) in starts.filter(|(_, start)| (1..=length).contains(start)) {
            text[start - 1] = b'\n';
        }
        text
    }

    /// The lines from a mark on, by number and start.
    fn starts_from(&self, mark: usize) -> impl Iterator<Item = (u32, usize)> {
        let Mark { mut offset, index } = self.marks[mark];
        let first = mark as u32 * MARKED;
        let lengths = self.lengths[index..].iter();
        let others = lengths.filter_map(move |length| {
            offset += usize::from(*length);
            (*length != MORE).then_some(offset)
        });
        (first..).zip(std::iter::once(self.marks[mark].offset).chain(others))
    }
}

/// The length of each line that ends, with its end. Lines end with `\n`, `\r\n` or a lone `\r`, as in C++ Nix (position.cc).
pub(super) fn lengths(text: &[u8]) -> Vec<u8> {
    let mut lengths = Vec::with_capacity(text.len() / 24);
    let mut start = 0;
    let (blocks, rest) = text.as_chunks();
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    for (number, block) in blocks.iter().chain([&last]).enumerate() {
        let mut ends = line_ends(block);
        while ends != 0 {
            let next = number * BLOCK + ends.trailing_zeros() as usize + 1;
            ends &= ends - 1;
            if text[next - 1] == b'\r' && text.get(next) == Some(&b'\n') {
                continue;
            }
            let mut length = next - start;
            while length >= usize::from(MORE) {
                lengths.push(MORE);
                length -= usize::from(MORE);
            }
            lengths.push(length as u8);
            start = next;
        }
    }
    lengths
}

/// As many bytes as there are bits in a word.
const BLOCK: usize = 64;

/// A bit for each byte that may end a line.
#[inline]
fn line_ends(block: &[u8; BLOCK]) -> u64 {
    let parts = block.as_chunks::<WIDTH>().0.iter().rev();
    parts.fold(0, |ends, part| {
        let bytes = Bytes::new(part);
        ends << WIDTH | u64::from((bytes.equal(b'\n') | bytes.equal(b'\r')).bits())
    })
}
