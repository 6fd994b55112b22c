//! What a value that is no string, array, table or word is: a date, a time, a float or an integer; and the
//! latter two (`guess_number_type` of toml11 4.4).

use super::{Parsed, Parser, Problem, Toml};

const INTEGER_HINTS: &str = "Hint: valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755\n\
                             Hint: invalid: _42, 1__000, 0123\n";
const FLOAT_HINTS: &str = "Hint: valid  : +1.0, -2e-2, 3.141_592_653_589, inf, nan\n\
                           Hint: invalid: .0, 1., _1.0, 1.0_, 1_.0, 1.0__0\n";
const DATE_HINTS: &str = "Hint: valid  : 1979-05-27T07:32:00-07:00, 1979-05-27 07:32:00.999999Z\n\
                          Hint: invalid: 1979-05-27T7:32:00-7:00, 1979-05-27 7:32-00:30";
pub(super) const EXPECTED_FLOAT: &str = "expected from `1` to `9` or digit [0-9] or inf or nan";

impl Parser<'_> {
    pub(super) fn number(&mut self) -> Parsed<Toml> {
        if let Some(timestamp) = self.timestamp()? {
            return Ok(Toml::Timestamp(timestamp));
        }
        if self.skip_if(b"inf") {
            return Ok(Toml::Float(f64::INFINITY));
        }
        if self.skip_if(b"nan") {
            return Ok(Toml::Float(f64::NAN));
        }
        if let Some(length) = float_length(self.rest()) {
            return self.float(length);
        }
        for (prefix, radix) in [(b"0x", 16), (b"0o", 8), (b"0b", 2)] {
            if self.rest().starts_with(prefix) && digits(&self.rest()[2..], radix) > 0 {
                return self.radix_integer(radix);
            }
        }
        let length = integer_length(self.rest());
        if length > 0 {
            return self.integer(length);
        }
        Err(match self.peek() {
            Some(b'.') => self.hinted(
                "bad float: integer part is required before decimal point",
                "missing integer part",
                FLOAT_HINTS,
            ),
            Some(b'_') => self.hinted(
                "bad number: `_` must be surrounded by digits",
                "digits required before `_`",
                INTEGER_HINTS,
            ),
            Some(b'i') => self.badly_spelt("inf"),
            Some(b'n') => self.badly_spelt("nan"),
            _ => self.problem("bad format: unknown value appeared", "here"),
        })
    }

    fn hinted(&self, title: &'static str, remark: &'static str, hints: &'static str) -> Box<Problem> {
        Box::new(Problem::new(title, self.place(self.at), remark).with_suffix(hints))
    }

    /// The same further on, from where nothing is taken.
    fn hinted_after(
        &self,
        length: usize,
        title: &'static str,
        remark: &'static str,
        hints: &'static str,
    ) -> Box<Problem> {
        Box::new(Problem::new(title, self.place(self.at + length), remark).with_suffix(hints))
    }

    fn float(&mut self, length: usize) -> Parsed<Toml> {
        if self.rest().get(length) == Some(&b'_') {
            let title = "bad float: `_` must be surrounded by digits";
            return Err(self.hinted_after(length, title, "invalid underscore", FLOAT_HINTS));
        }
        let text = self.without_underscores(length);
        self.at += length;
        let unsigned = text.trim_start_matches(['+', '-']);
        let negative = text.starts_with('-');
        match unsigned {
            "inf" => return Ok(Toml::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY })),
            "nan" => return Ok(Toml::Float(if negative { -f64::NAN } else { f64::NAN })),
            _ => {}
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Toml::Float(value)),
            _ => {
                let title = "toml::parse_floating: failed to read floating point value from stream";
                Err(self.problem(title, "here"))
            }
        }
    }

    fn integer(&mut self, length: usize) -> Parsed<Toml> {
        let digits = self.rest()[..length].trim_ascii_start();
        let zero = matches!(digits, b"0" | b"+0" | b"-0");
        match self.rest().get(length) {
            Some(b'_') if zero => {
                let title = "bad integer: leading zero is not allowed in decimal int";
                Err(self.hinted_after(length, title, "leading zero", INTEGER_HINTS))
            }
            Some(b'_') => {
                let title = "bad integer: `_` must be surrounded by digits";
                Err(self.hinted_after(length, title, "invalid underscore", INTEGER_HINTS))
            }
            Some(b'0') => {
                let title = "bad integer: leading zero";
                Err(self.hinted_after(length - 1, title, "leading zero is not allowed", INTEGER_HINTS))
            }
            Some(b'1'..=b'9') => {
                let title = "bad integer: invalid digit after an integer";
                Err(self.hinted_after(length, title, "this digit is not allowed", INTEGER_HINTS))
            }
            Some(b':' | b'-') => {
                Err(self.hinted_after(length, "bad datetime: invalid format", "here", DATE_HINTS))
            }
            Some(b'.' | b'e' | b'E') => {
                Err(self.hinted_after(length, "bad float: invalid format", "here", FLOAT_HINTS))
            }
            Some(b'x') if zero => self.radix_integer(16),
            Some(b'o') if zero => self.radix_integer(8),
            Some(b'b') if zero => self.radix_integer(2),
            _ => {
                let text = self.without_underscores(length);
                self.at += length;
                text.parse().map(Toml::Integer).map_err(|_| {
                    let title = "toml::parse_dec_integer: too large integer: current max digits = 2^63";
                    let problem = self.problem(title, "must be < 2^63");
                    self.at -= length;
                    problem
                })
            }
        }
    }

    /// `0x…`, `0o…` or `0b…`, or what only begins like it.
    fn radix_integer(&mut self, radix: u32) -> Parsed<Toml> {
        let (title, prefix, expected, too_large) = match radix {
            16 => (
                "toml::parse_hex_integer: invalid integer: hex_int must be like: 0xC0FFEE, 0xdead_beef",
                "expected 0x",
                "expected hex [0-9a-fA-F]",
                "toml::parse_hex_integer: too large integer: current max value = 2^63",
            ),
            8 => (
                "toml::parse_oct_integer: invalid integer: oct_int must be like: 0o775, 0o04_44",
                "expected 0o",
                "expected from `0` to `7`",
                "toml::parse_oct_integer: too large integer: current max value = 2^63",
            ),
            _ => (
                "toml::parse_bin_integer: invalid integer: bin_int must be like: 0b0101, 0b1111_0000",
                "expected 0b",
                "expected 0 or 1",
                "toml::parse_bin_integer: too large integer: current max value = 2^63",
            ),
        };
        if self.peek() != Some(b'0') {
            return Err(self.problem(title, prefix));
        }
        let start = self.at;
        self.at += 2;
        let length = digits(self.rest(), radix);
        if length == 0 {
            let problem = self.problem(title, expected);
            self.at = start;
            return Err(problem);
        }
        let text = self.without_underscores(length);
        self.at += length;
        i64::from_str_radix(&text, radix).map(Toml::Integer).map_err(|_| {
            let problem = self.problem(too_large, "must be < 2^63");
            self.at = start;
            problem
        })
    }

    fn without_underscores(&self, length: usize) -> String {
        let text = self.rest()[..length].iter().filter(|&&byte| byte != b'_');
        text.map(|&byte| char::from(byte)).collect()
    }
}

/// How many bytes are digits, with underscores between them.
fn digits(text: &[u8], radix: u32) -> usize {
    let is_digit = |at: usize| text.get(at).is_some_and(|&byte| char::from(byte).is_digit(radix));
    let mut length = 0;
    while is_digit(length) || length > 0 && text.get(length) == Some(&b'_') && is_digit(length + 1) {
        length += 1;
    }
    length
}

/// How many bytes are a decimal integer: a zero, or digits that begin with another one.
fn integer_length(text: &[u8]) -> usize {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    match text.get(sign) {
        Some(b'0') => sign + 1,
        Some(b'1'..=b'9') => sign + digits(&text[sign..], 10),
        _ => 0,
    }
}

/// How many bytes are a float, if they are one.
fn float_length(text: &[u8]) -> Option<usize> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    if text[sign..].starts_with(b"inf") || text[sign..].starts_with(b"nan") {
        return Some(sign + 3);
    }
    let whole = integer_length(text);
    if whole == 0 {
        return None;
    }
    let mut length = whole;
    if text.get(length) == Some(&b'.') {
        let fraction = digits(&text[length + 1..], 10);
        length += if fraction > 0 { 1 + fraction } else { 0 };
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(&text[length + 1 + sign..], 10);
        length += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    (length > whole).then_some(length)
}
