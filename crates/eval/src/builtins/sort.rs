//! The order of `sort`.
//!
//! A comparison may be no order at all (`<=` is a frequent one), may fail or say something; so elements are compared
//! in the same pairs, one after the other, as in the reference. That is peeksort (Munro and Wild, *Nearly-Optimal
//! Mergesorts*, 2018; `sort.hh` in C++ Nix 2.34): a merge sort that takes the run around the middle as it is, with
//! insertion sort for what is short.

use crate::error::Result;
use crate::value::Value;

/// So many elements are sorted by insertion.
const SHORT: usize = 16;

/// Whether the first value comes before the second.
pub(super) type Less<'a> = &'a mut dyn FnMut(Value, Value) -> Result<bool>;

/// Puts values in order. Equal ones stay as they are.
pub(super) fn sort(values: &mut [Value], less: Less<'_>) -> Result<()> {
    let length = values.len();
    match length {
        0 | 1 => Ok(()),
        2 => {
            if less(values[1], values[0])? {
                values.swap(0, 1);
            }
            Ok(())
        }
        _ => Sorting { values, less, left: Vec::new() }.part(0, length, 0, length),
    }
}

struct Sorting<'a> {
    values: &'a mut [Value],
    less: Less<'a>,
    /// Room for the left one of two runs that are merged.
    left: Vec<Value>,
}

impl Sorting<'_> {
    /// Sorts from `begin` to `end`, where what is before `first_end` is sorted, and what is from `last_begin` on.
    fn part(&mut self, begin: usize, end: usize, first_end: usize, last_begin: usize) -> Result<()> {
        if first_end == end || last_begin == begin {
            return Ok(());
        }
        if end - begin <= SHORT {
            return self.insert(begin, end);
        }
        let middle = begin + (end - begin) / 2;
        if middle <= first_end {
            self.part(first_end, end, first_end + 1, last_begin)?;
            return self.merge(begin, first_end, end);
        }
        if middle >= last_begin {
            self.part(begin, last_begin, first_end, last_begin - 1)?;
            return self.merge(begin, last_begin, end);
        }
        let falls = self.falls(middle)?;
        let run = self.run_begin(first_end, middle, falls)?..self.run_end(middle, last_begin, falls)?;
        if falls {
            self.values[run.clone()].reverse();
        }
        if run == (begin..end) {
            return Ok(());
        }
        if middle - run.start < run.end - middle {
            self.part(begin, run.start, first_end, run.start.saturating_sub(1))?;
            self.part(run.start, end, run.end, last_begin)?;
            self.merge(begin, run.start, end)
        } else {
            self.part(begin, run.end, first_end, run.start)?;
            self.part(run.end, end, run.end + 1, last_begin)?;
            self.merge(begin, run.end, end)
        }
    }

    /// Whether the element at `index` comes before the one in front of it.
    fn falls(&mut self, index: usize) -> Result<bool> {
        (self.less)(self.values[index], self.values[index - 1])
    }

    /// Where a run begins that goes on up to `end`.
    fn run_begin(&mut self, from: usize, end: usize, falls: bool) -> Result<usize> {
        let mut begin = end - 1;
        while begin > from && self.falls(begin)? == falls {
            begin -= 1;
        }
        Ok(begin)
    }

    /// Where a run ends whose first element is the one before `next`.
    fn run_end(&mut self, mut next: usize, limit: usize, falls: bool) -> Result<usize> {
        while next < limit && self.falls(next)? == falls {
            next += 1;
        }
        Ok(next)
    }

    fn insert(&mut self, begin: usize, end: usize) -> Result<()> {
        for next in begin + 1..end {
            let mut place = next;
            while place > begin && self.falls(place)? {
                self.values.swap(place, place - 1);
                place -= 1;
            }
        }
        Ok(())
    }

    fn merge(&mut self, begin: usize, middle: usize, end: usize) -> Result<()> {
        self.left.clear();
        self.left.extend_from_slice(&self.values[begin..middle]);
        let (mut taken, mut right) = (0, middle);
        for place in begin..end {
            if taken == self.left.len() {
                break;
            }
            if right < end && (self.less)(self.values[right], self.left[taken])? {
                self.values[place] = self.values[right];
                right += 1;
            } else {
                self.values[place] = self.left[taken];
                taken += 1;
            }
        }
        Ok(())
    }
}
