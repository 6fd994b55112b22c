//! Dates and times (RFC 3339), brought into one form: a `T` between date and time, fractions of a second in 3,
//! 6 or 9 digits or left out when zero, and `Z` for no offset.

use super::{Parsed, Parser, Problem};

const TIME_HINTS: &str = "Hint: valid  : 1979-05-27T07:32:00, 1979-05-27 07:32:00.999999\n\
                          Hint: invalid: 1979-05-27T7:32:00, 1979-05-27 17:32\n";
const OFFSET_HINTS: &str = "Hint: valid  : +09:00, -05:30\nHint: invalid: +9:00,  -5:30\n";

impl Parser<'_> {
    /// A date, a time or both, if there is one here.
    pub(super) fn timestamp(&mut self) -> Parsed<Option<String>> {
        let start = self.at;
        if let Ok(length) = match_form(self.rest(), "dd:dd:dd") {
            return self.time(length).map(Some);
        }
        let Ok(length) = match_form(self.rest(), "dddd-dd-dd") else { return Ok(None) };
        self.at += length;
        let (separator, next) = (self.peek(), self.rest().get(1));
        let separated = matches!(separator, Some(b'T' | b't'))
            || separator == Some(b' ') && next.is_some_and(u8::is_ascii_digit);
        if !separated {
            if separator.is_some_and(|byte| byte.is_ascii_digit()) {
                let title = "bad datetime: missing T or space";
                return Err(self.misread(title, "expected T, t, or 0x20(SPACE)", TIME_HINTS, start));
            }
            return self.date(start).map(Some);
        }
        self.at += 1;
        let time = match match_form(self.rest(), "dd:dd:dd") {
            Ok(length) => length,
            Err((matched, expected)) => {
                self.at += matched;
                return Err(self.misread("bad time: must be HH:MM:SS.subsec", expected, TIME_HINTS, start));
            }
        };
        let time_start = self.at;
        self.at += time + fraction_length(&self.rest()[time..]);
        let offset = self.offset_length().map_err(|expected| {
            self.misread("bad offset: must be [+-]HH:MM or Z", expected, OFFSET_HINTS, start)
        })?;
        let mut text = self.date(start)?;
        text.push('T');
        self.at = time_start;
        text += &self.time(time)?;
        text += &self.offset(offset, start)?;
        Ok(Some(text))
    }

    /// A problem here with a value that begins elsewhere, and of which nothing was taken.
    fn misread(
        &mut self,
        title: &'static str,
        expected: &'static str,
        hints: &'static str,
        start: usize,
    ) -> Box<Problem> {
        let problem = Problem::new(title, self.place(self.at), expected).with_suffix(hints);
        self.at = start;
        Box::new(problem)
    }

    fn date(&self, start: usize) -> Parsed<String> {
        let (year, month) = (self.two(start) * 100 + self.two(start + 2), self.two(start + 5));
        let day = self.two(start + 8);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 0,
        };
        if day == 0 || day > days {
            let remark =
                "month must be 01-12, day must be any of 01-28,29,30,31 depending on the month/year.";
            let title = "toml::parse_local_date: invalid date.";
            return Err(Box::new(Problem::new(title, self.place(start), remark)));
        }
        Ok(format!("{year:04}-{month:02}-{day:02}"))
    }

    fn time(&mut self, length: usize) -> Parsed<String> {
        let (hour, minute) = (self.two(self.at), self.two(self.at + 3));
        let second = self.two(self.at + 6);
        let title = "toml::parse_local_time: invalid time.";
        if hour > 23 || minute > 59 {
            return Err(self.problem(title, "hour must be 00-23, minute must be 00-59."));
        }
        // 60 is a leap second.
        if second > 60 {
            return Err(self.problem(title, "second must be 00-60."));
        }
        self.at += length;
        Ok(format!("{hour:02}:{minute:02}:{second:02}{}", self.fraction()))
    }

    fn fraction(&mut self) -> String {
        let length = fraction_length(self.rest());
        let digits = self.rest()[..length].iter().skip(1).take(9);
        let text: String = digits.map(|&digit| char::from(digit)).collect();
        self.at += length;
        let needed = text.trim_end_matches('0').len().next_multiple_of(3);
        match needed {
            0 => String::new(),
            needed => format!(".{text:0<needed$.needed$}"),
        }
    }

    /// How long the offset is, or what is missing in it.
    fn offset_length(&mut self) -> Result<usize, &'static str> {
        match self.peek() {
            Some(b'Z' | b'z') => Ok(1),
            Some(b'+' | b'-') => match match_form(&self.rest()[1..], "dd:dd") {
                Ok(length) => Ok(1 + length),
                Err((matched, expected)) => {
                    self.at += 1 + matched;
                    Err(if expected == EXPECTED_DIGIT {
                        "expected z or Z or digit [0-9]"
                    } else {
                        "expected z or Z or :"
                    })
                }
            },
            _ => Ok(0),
        }
    }

    fn offset(&mut self, length: usize, start: usize) -> Parsed<String> {
        if length < 2 {
            self.at += length;
            return Ok(if length == 1 { "Z".to_owned() } else { String::new() });
        }
        let sign = char::from(self.text[self.at]);
        let (hour, minute) = (self.two(self.at + 1), self.two(self.at + 4));
        self.at += length;
        if hour > 24 || minute > 60 {
            let title = "toml::parse_offset_datetime: too large offset: |hour| <= 24, |minute| <= 60";
            return Err(Box::new(Problem::new(title, start..self.at, "here")));
        }
        Ok(if hour == 0 && minute == 0 { "Z".to_owned() } else { format!("{sign}{hour:02}:{minute:02}") })
    }

    /// The number in two digits.
    fn two(&self, at: usize) -> u32 {
        let digit = |at: usize| u32::from(self.text[at] - b'0');
        digit(at) * 10 + digit(at + 1)
    }
}

const EXPECTED_DIGIT: &str = "expected digit [0-9]";

/// The length of a text in which `d` stands for digits and the rest for itself; or how much of it there is, and
/// what is expected next.
fn match_form(text: &[u8], form: &str) -> Result<usize, (usize, &'static str)> {
    for (index, expected) in form.bytes().enumerate() {
        let found = text.get(index).copied().unwrap_or_default();
        if expected == b'd' && !found.is_ascii_digit() {
            return Err((index, EXPECTED_DIGIT));
        }
        if expected != b'd' && found != expected {
            return Err((index, "expected :"));
        }
    }
    Ok(form.len())
}

/// The length of `.123`.
fn fraction_length(text: &[u8]) -> usize {
    let digits = match text {
        [b'.', digits @ ..] => digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 0,
    };
    if digits == 0 { 0 } else { 1 + digits }
}
