//! JSON for people: the text that is printed on a terminal.

/// Compact JSON with its parts on lines of their own, indented by two spaces; nothing in the parts is changed.
pub(crate) fn on_several_lines(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for (index, &byte) in json.iter().enumerate() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        let is_empty = matches!(json.get(index + 1), Some(b'}' | b']'));
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                if !is_empty {
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                if !matches!(json.get(index.wrapping_sub(1)), Some(b'{' | b'[')) {
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let table = [
            ("1", "1"),
            ("[]", "[]"),
            (r#"{"a":[1,{}],"b":"x,\"[:"}"#, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x,\\\"[:\"\n}"),
        ];
        for (compact, expected) in table {
            assert_eq!(String::from_utf8_lossy(&on_several_lines(compact.as_bytes())), expected);
        }
    }
}
