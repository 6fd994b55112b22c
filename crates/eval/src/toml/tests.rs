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

/// All of these are refused by C++ Nix 2.34.8 too.
#[test]
fn what_is_not_toml_1_0_is_refused() {
    let cases = [
        ("a", "line 1, column 2: expected `=`"),
        ("a=", "line 1, column 3: expected a value"),
        ("a=1\nb=[1,,2]", "line 2, column 6: expected a value"),
        ("a=1 b=2", "line 1, column 5: expected the end of the line"),
        ("=1", "line 1, column 1: expected a key: letters, digits, `_` and `-`, or a string"),
        ("é=1", "line 1, column 1: expected a key: letters, digits, `_` and `-`, or a string"),
        ("[a", "line 1, column 3: expected `]`"),
        ("[[a]", "line 1, column 4: expected `]]`"),
        ("a=1\na=2", "line 2, column 1: `a` is defined already"),
        ("[a]\n[a]", "line 2, column 1: `a` is defined already"),
        ("a=[]\n[[a]]", "line 2, column 1: `a` is defined already, and not by `[[…]]`"),
        ("a={b=1}\na.c=2", "line 2, column 1: `a` can't be added to by a dotted key"),
        ("a={b=1}\n[a.c]", "line 2, column 1: `a` is a value, nothing can be added to it"),
        ("[a.b.c]\nz=9\n[a]\nb.d=1", "line 4, column 1: `b` can't be added to by a dotted key"),
        ("[f]\na.c=1\n[f.a]", "line 3, column 1: `f.a` is defined already"),
        ("a={x=1,}", "line 1, column 8: expected a key: letters, digits, `_` and `-`, or a string"),
        ("a={x=1\n}", "line 1, column 7: expected `}`"),
        ("a=\"x\ny\"", "line 1, column 5: the string isn't closed"),
        ("a=\"\\e\"", "line 1, column 4: unknown escape in a string"),
        ("a=\"\\uD800\"", "line 1, column 4: expected 4 hexadecimal digits of a character"),
        ("a=\"\u{1}\"", "line 1, column 4: a control character must be escaped"),
        ("# \u{1}", "line 1, column 3: a comment must not hold control characters"),
        ("a=1\rb=2", "line 1, column 4: expected the end of the line"),
        ("a=9223372036854775808", "line 1, column 3: the integer doesn't fit into 64 bits"),
        ("a=01", "line 1, column 3: a number must not begin with a zero"),
        ("a=1__0", "line 1, column 3: expected a value"),
        ("a=1.", "line 1, column 3: expected a value"),
        ("a=-0x1", "line 1, column 3: expected a value"),
        ("a=1e999", "line 1, column 3: the number is too large"),
        ("a=07:32", "line 1, column 8: expected `:`"),
        ("a=1979-02-30", "line 1, column 13: there is no such date"),
        ("a=24:00:00", "line 1, column 11: there is no such time"),
    ];
    for (text, expected) in cases {
        let error = parse(text.as_bytes()).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text:?}");
    }
    assert!(parse(b"a=\"\xff\"").is_err());
    let deep = format!("a={}", "[".repeat(100_000));
    assert!(parse(deep.as_bytes()).is_err());
}
