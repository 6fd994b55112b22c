//! Integers and floats.

use super::{Parsed, Parser, Toml};

impl Parser<'_> {
    pub(super) fn number(&mut self) -> Parsed<Toml> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
        let length = self.rest().iter().take_while(|byte| is_part(byte)).count();
        let text: String = self.rest()[..length].iter().map(|&byte| char::from(byte)).collect();
        let value = match text.get(..2) {
            Some("0x") => radix_integer(&text[2..], 16),
            Some("0o") => radix_integer(&text[2..], 8),
            Some("0b") => radix_integer(&text[2..], 2),
            _ => decimal(&text),
        }?;
        self.at += length;
        Ok(value)
    }
}

fn radix_integer(digits: &str, radix: u32) -> Parsed<Toml> {
    let digits = without_underscores(digits, |byte| char::from(byte).is_digit(radix))?;
    let value = i64::from_str_radix(&digits, radix).map_err(|_| too_large())?;
    Ok(Toml::Integer(value))
}

fn decimal(text: &str) -> Parsed<Toml> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    match unsigned {
        "inf" => return Ok(Toml::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY })),
        "nan" => return Ok(Toml::Float(if negative { -f64::NAN } else { f64::NAN })),
        _ => {}
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let mut clean = String::from(if negative { "-" } else { "" });
    clean += &without_underscores(whole, is_digit)?;
    if whole.len() > 1 && whole.starts_with('0') {
        return Err("a number must not begin with a zero".to_owned());
    }
    if exponent.is_none() && fraction.is_none() {
        return clean.parse().map(Toml::Integer).map_err(|_| too_large());
    }
    if let Some(fraction) = fraction {
        clean.push('.');
        clean += &without_underscores(fraction, is_digit)?;
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        clean.push('e');
        clean += &exponent[..exponent.len() - digits.len()];
        clean += &without_underscores(digits, is_digit)?;
    }
    match clean.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Toml::Float(value)),
        _ => Err("the number is too large".to_owned()),
    }
}

/// The digits without underscores, each of which must be between two digits.
fn without_underscores(text: &str, is_digit: impl Fn(u8) -> bool) -> Parsed<String> {
    if text.split('_').all(|digits| !digits.is_empty() && digits.bytes().all(&is_digit)) {
        return Ok(text.replace('_', ""));
    }
    Err("expected a value".to_owned())
}

fn too_large() -> String {
    "the integer doesn't fit into 64 bits".to_owned()
}
