//! Dates and times (RFC 3339), brought into one form: a `T` between date and time, fractions of
//! a second in 3, 6 or 9 digits or left out when zero, and `Z` for no offset.

use super::{Parsed, Parser};

impl Parser<'_> {
    /// Whether digits here begin a date or time rather than a number.
    pub(super) fn is_timestamp(&self) -> bool {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        matches!((digits, self.rest().get(digits)), (4, Some(b'-')) | (2, Some(b':')))
    }

    pub(super) fn timestamp(&mut self) -> Parsed<String> {
        if self.rest().get(2) == Some(&b':') {
            return self.time();
        }
        let mut text = self.date()?;
        let time_follows = match self.peek() {
            Some(b'T' | b't') => true,
            Some(b' ') => self.rest().get(1).is_some_and(u8::is_ascii_digit),
            _ => false,
        };
        if time_follows {
            self.at += 1;
            text.push('T');
            text += &self.time()?;
            text += &self.offset()?;
        }
        Ok(text)
    }

    fn date(&mut self) -> Parsed<String> {
        let year = self.digits(4)?;
        self.expect("-")?;
        let month = self.digits(2)?;
        self.expect("-")?;
        let day = self.digits(2)?;
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 0,
        };
        if day == 0 || day > days {
            return Err("there is no such date".to_owned());
        }
        Ok(format!("{year:04}-{month:02}-{day:02}"))
    }

    fn time(&mut self) -> Parsed<String> {
        let hour = self.digits(2)?;
        self.expect(":")?;
        let minute = self.digits(2)?;
        self.expect(":")?;
        let second = self.digits(2)?;
        // 60 is a leap second.
        if hour > 23 || minute > 59 || second > 60 {
            return Err("there is no such time".to_owned());
        }
        Ok(format!("{hour:02}:{minute:02}:{second:02}{}", self.fraction()))
    }

    fn fraction(&mut self) -> String {
        let digits = match self.rest() {
            [b'.', rest @ ..] => rest.iter().take_while(|byte| byte.is_ascii_digit()).count(),
            _ => 0,
        };
        if digits == 0 {
            return String::new();
        }
        let mut text: String = self.rest()[1..=digits].iter().map(|&digit| char::from(digit)).collect();
        self.at += 1 + digits;
        text.truncate(9);
        let needed = text.trim_end_matches('0').len().next_multiple_of(3);
        match needed {
            0 => String::new(),
            needed => format!(".{text:0<needed$.needed$}"),
        }
    }

    fn offset(&mut self) -> Parsed<String> {
        if self.skip_if(b"Z") || self.skip_if(b"z") {
            return Ok("Z".to_owned());
        }
        let sign = match self.peek() {
            Some(sign @ (b'+' | b'-')) => char::from(sign),
            _ => return Ok(String::new()),
        };
        self.at += 1;
        let hour = self.digits(2)?;
        self.expect(":")?;
        let minute = self.digits(2)?;
        if hour > 23 || minute > 59 {
            return Err("there is no such offset".to_owned());
        }
        Ok(if hour == 0 && minute == 0 { "Z".to_owned() } else { format!("{sign}{hour:02}:{minute:02}") })
    }

    fn digits(&mut self, count: usize) -> Parsed<u32> {
        let digits = self.rest().get(..count).filter(|text| text.iter().all(u8::is_ascii_digit));
        let Some(digits) = digits else { return Err(format!("expected {count} digits")) };
        let value = digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        self.at += count;
        Ok(value)
    }
}
