//! JSON text as the reference prints it: sorted keys, and floats in the layout of its JSON library.
//!
//! C++ Nix hashes JSON (`__json`) and compares it byte by byte, so the layout is part of the format. It is that of
//! nlohmann::json's `dump`: `1.0`, `1e+22`, `1e-07`.

use serde_json::Value;

use crate::derivation;
use crate::escape::{Escape, Escapes, escape};

/// Prints on one line without white space.
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, None);
    out
}

/// Prints with two spaces of indentation per level, as the reference does on a terminal.
pub fn print_pretty(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, Some(0));
    out
}

/// Appends a string with its quotes.
pub fn write_string(out: &mut String, text: &str) {
    // SAFETY: what is appended to the text is text, as whole characters of `text` or ASCII.
    StringForm::PLAIN.write(unsafe { out.as_mut_vec() }, text.as_bytes());
}

/// How strings are written.
pub struct StringForm {
    quote: Escape,
    escapes: Escapes,
}

impl StringForm {
    /// In JSON.
    pub const PLAIN: &'static StringForm = &StringForm {
        quote: escape(b"\""),
        escapes: {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let mut escapes = Escapes::none();
            let mut control = 0;
            while control < b' ' {
                let (high, low) = (DIGITS[control as usize >> 4], DIGITS[control as usize & 15]);
                escapes = escapes.with(control, &[b'\\', b'u', b'0', b'0', high, low]);
                control += 1;
            }
            escapes
                .with(b'"', b"\\\"")
                .with(b'\\', b"\\\\")
                .with(b'\n', b"\\n")
                .with(b'\r', b"\\r")
                .with(b'\t', b"\\t")
                .with(8, b"\\b")
                .with(12, b"\\f")
        },
    };

    /// In JSON that is a string in a `.drv` file: everything is escaped once more.
    pub const IN_DERIVATION: &'static StringForm = &StringForm {
        quote: escape(b"\\\""),
        escapes: StringForm::PLAIN.escapes.escaped(&derivation::ESCAPES),
    };

    /// Appends a string, whose bytes must be text, with its quotes. Tells whether it is ASCII.
    pub fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> bool {
        self.escapes.append_between(out, self.quote, text, self.quote)
    }
}

/// Appends a float; what is not finite becomes `null`.
pub fn write_float(out: &mut String, float: f64) {
    if !float.is_finite() {
        out.push_str("null");
        return;
    }
    let shortest = format!("{float:e}");
    let (mantissa, exponent) = shortest.split_once('e').expect("`{:e}` always prints an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` prints a decimal exponent");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let digits = mantissa.replace('.', "");

    // Where the decimal point stands, counted in digits from the left.
    let point = exponent + 1;
    let count = digits.len() as i32;
    let zeros = |count: i32| "0".repeat(count.unsigned_abs() as usize);
    let text = match point {
        _ if digits == "0" => "0.0".into(),
        1..=15 if count <= point => format!("{digits}{}.0", zeros(point - count)),
        1..=15 => {
            let (whole, fraction) = digits.split_at(point as usize);
            format!("{whole}.{fraction}")
        }
        -3..=0 => format!("0.{}{digits}", zeros(point)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{first}{dot}{rest}e{sign}{:02}", exponent.unsigned_abs())
        }
    };
    out.push_str(sign);
    out.push_str(&text);
}

fn write_value(out: &mut String, value: &Value, indent: Option<usize>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => match n.as_f64() {
            Some(float) if n.is_f64() => write_float(out, float),
            _ => out.push_str(&n.to_string()),
        },
        Value::String(s) => write_string(out, s),
        Value::Array(items) => write_items(out, "[]", items.len(), indent, |out, i, indent| {
            write_value(out, &items[i], indent);
        }),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            write_items(out, "{}", entries.len(), indent, |out, i, indent| {
                let (key, value) = entries[i];
                write_string(out, key);
                out.push_str(if indent.is_some() { ": " } else { ":" });
                write_value(out, value, indent);
            });
        }
    }
}

fn write_items(
    out: &mut String,
    brackets: &str,
    count: usize,
    indent: Option<usize>,
    mut write_item: impl FnMut(&mut String, usize, Option<usize>),
) {
    if count == 0 {
        out.push_str(brackets);
        return;
    }
    let (open, close) = brackets.split_at(1);
    let inner = indent.map(|depth| depth + 2);
    let break_line = |out: &mut String, depth: Option<usize>| {
        if let Some(depth) = depth {
            out.push('\n');
            out.push_str(&" ".repeat(depth));
        }
    };
    out.push_str(open);
    for i in 0..count {
        if i > 0 {
            out.push(',');
        }
        break_line(out, inner);
        write_item(out, i, inner);
    }
    break_line(out, indent);
    out.push_str(close);
}
