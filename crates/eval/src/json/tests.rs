use nival_formats::json::StringForm;

use super::*;

/// What is read is written again.
struct Text(Vec<u8>);

impl JsonValue for Text {
    type Maker = ();

    fn null((): &()) -> Self {
        Text(b"null".to_vec())
    }

    fn bool((): &(), value: bool) -> Self {
        Text(value.to_string().into_bytes())
    }

    fn int((): &(), value: i64) -> Self {
        Text(value.to_string().into_bytes())
    }

    fn float((): &(), value: f64) -> Self {
        let mut out = Vec::new();
        write_float(&mut out, value);
        Text(out)
    }

    fn string((): &(), value: &[u8]) -> Self {
        let mut out = Vec::new();
        write_string(&mut out, StringForm::PLAIN, value).expect("the parser checks for UTF-8");
        Text(out)
    }

    fn list((): &(), values: Vec<Self>) -> Self {
        let values: Vec<_> = values.into_iter().map(|value| value.0).collect();
        Text([b"[", values.join(&b","[..]).as_slice(), b"]"].concat())
    }

    fn object(maker: &(), entries: Vec<(Vec<u8>, Self)>) -> Self {
        let entries: std::collections::BTreeMap<_, _> = entries.into_iter().collect();
        let entry = |(key, value): (Vec<u8>, Text)| [Text::string(maker, &key).0, value.0].join(&b":"[..]);
        let entries: Vec<_> = entries.into_iter().map(entry).collect();
        Text([b"{", entries.join(&b","[..]).as_slice(), b"}"].concat())
    }
}

/// `[text, what it reads and writes as, or the error]`, recorded from C++ Nix 2.34.8.
#[test]
fn json_is_read_and_written_as_in_the_reference() {
    let cases: Vec<(String, String)> =
        serde_json::from_str(include_str!("golden.json")).expect("a table of cases");
    for (text, expected) in cases {
        let found = match parse::<Text>(text.as_bytes(), &()) {
            Ok(text) => String::from_utf8(text.0).expect("what is written is UTF-8"),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_named() {
    let cases: [(&[u8], &str); 6] = [
        (b"a\xff", "invalid UTF-8 byte at index 1: 0xFF"),
        (b"a\x80b", "invalid UTF-8 byte at index 1: 0x80"),
        (b"\xe0\x80\x80", "invalid UTF-8 byte at index 1: 0x80"),
        (b"\xf0\x9f\x98x", "invalid UTF-8 byte at index 3: 0x78"),
        (b"ab\xc3", "incomplete UTF-8 string; last byte: 0xC3"),
        (b"\xf0\x9f\x98", "incomplete UTF-8 string; last byte: 0x98"),
    ];
    for (text, expected) in cases {
        let error = write_string(&mut Vec::new(), StringForm::PLAIN, text).expect_err("it is not UTF-8");
        assert_eq!(error.to_string(), format!("[json.exception.type_error.316] {expected}"));
        let text = [b"\"", text, b"\""].concat();
        assert!(parse::<Text>(&text, &()).is_err());
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let text = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(parse::<Text>(text.as_bytes(), &()).is_ok());
    assert!(parse::<Text>("[".repeat(200_000).as_bytes(), &()).is_err());
}
