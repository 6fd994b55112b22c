use super::*;

fn show(value: &Toml) -> String {
    match value {
        Toml::String(text) => format!("{text:?}"),
        Toml::Integer(number) => number.to_string(),
        Toml::Float(number) => format!("{number:?}"),
        Toml::Bool(value) => value.to_string(),
        Toml::Timestamp(text) => format!("<{text}>"),
        Toml::Array(values) => {
            format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Toml::Table(entries) => show_table(entries),
    }
}

fn show_table(entries: &BTreeMap<String, Toml>) -> String {
    let entry = |(key, value)| format!("{key}={}", show(value));
    format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
}

/// Checked against C++ Nix 2.34.8.
#[test]
fn documents_are_read() {
    let cases = [
        ("", "{}"),
        ("a=1\n[b]\nc=true # comment\r\n", "{a=1 b={c=true}}"),
        ("\"a b\".'c d'=1\n1.2=3", "{1={2=3} a b={c d=1}}"),
        ("a=-0\nb=+99\nc=0x1F\nd=0o17\ne=0b101\nf=1_000", "{a=0 b=99 c=31 d=15 e=5 f=1000}"),
        ("a=1e5\nb=+1.5\nc=-inf\nd=1_000.5e-1_0\ne=nan", "{a=100000.0 b=1.5 c=-inf d=1.0005e-7 e=NaN}"),
        ("a=\"\"\"\nx\r\ny\"\"\"", r#"{a="x\r\ny"}"#),
        ("a=\"\"\"a\\   \n  b\"\"\"", r#"{a="ab"}"#),
        ("a=\"\"\"\"\"a\"\"\"\"\"", r#"{a="\"\"a\"\""}"#),
        ("a='''\nx'y''z'''", r#"{a="x'y''z"}"#),
        (r#"a="\b\t\n\f\r\"\\\u00e9\U0001F600""#, "{a=\"\\u{8}\\t\\n\\u{c}\\r\\\"\\\\é😀\"}"),
        ("a=[1,\n2,# c\n]\nb=[[],{x=[1]}]", "{a=[1 2] b=[[] {x=[1]}]}"),
        ("a={b.c=1,b.d=2}", "{a={b={c=1 d=2}}}"),
        ("[[a]]\nx=1\n[[a]]\nx=2\n[a.b]\ny=1", "{a=[{x=1} {b={y=1} x=2}]}"),
        ("[a.b]\nx=1\n[a]\nz=3", "{a={b={x=1} z=3}}"),
        ("[fruit]\napple.color=1\n[fruit.apple.taste]\nx=1", "{fruit={apple={color=1 taste={x=1}}}}"),
        ("a=1979-05-27 07:32:00z", "{a=<1979-05-27T07:32:00Z>}"),
        ("a=1979-05-27T00:32:00.1-07:00", "{a=<1979-05-27T00:32:00.100-07:00>}"),
        ("a=1979-05-27t07:32:00-00:00", "{a=<1979-05-27T07:32:00Z>}"),
        ("a=00:32:00.000100\nb=00:32:00.000", "{a=<00:32:00.000100> b=<00:32:00>}"),
        ("a=00:32:00.1234567891\nb=2000-02-29 ", "{a=<00:32:00.123456789> b=<2000-02-29>}"),
    ];
    for (text, expected) in cases {
        let found = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(show_table(&found), expected, "{text:?}");
    }
}

/// `[document, message]`, recorded from C++ Nix 2.34.8. A character of the document stands for the byte with its
/// number.
#[test]
fn errors_are_those_of_the_reference() {
    let cases: Vec<(String, String)> =
        serde_json::from_str(include_str!("errors.json")).expect("a table of cases");
    for (document, expected) in cases {
        let bytes: Vec<u8> = document.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect();
        let shown = match parse(&bytes) {
            Ok(table) => show_table(&table),
            Err(error) => error.to_string(),
        };
        let lines: Vec<&str> = shown.split('\n').map(str::trim_end).collect();
        assert_eq!(lines.join("\n").trim_end(), expected.trim_end(), "{document:?}");
    }
}

#[test]
fn deep_nesting_ends_in_an_error() {
    for opened in ["[", "{a="] {
        let deep = format!("a={}", opened.repeat(100_000));
        assert!(parse(deep.as_bytes()).is_err());
    }
}
